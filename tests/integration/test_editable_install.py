"""`pip install -e` of a clone named `retrain`: its packages are found beside the clone too, and nothing else of it."""

import os
import shutil
import site
import subprocess
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.shared import made_once

pytestmark = pytest.mark.slow
INSTALLED = ("retrain", "label_image", "scripts", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def run(folder: Path, *arguments: str | Path, python_path: str = "") -> subprocess.CompletedProcess[str]:
    """Run the Python of the environment in `folder`, from there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python", *arguments],
        cwd=folder,
        env={**environment, **({"PYTHONPATH": python_path} if python_path else {})},
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_the_project(folder: Path) -> Path:
    folder.mkdir()
    for name in INSTALLED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a clone `retrain`, a folder of the user's own, and an environment in which the clone is installed.

    The packages that the project needs, and pip, are those of the environment that runs the tests.
    """

    def install(folder: Path) -> Path:
        copy_of_the_project(folder / "retrain")
        (folder / "tests").mkdir()
        (folder / "tests" / "mine.py").write_text("NAME = 'the user\\'s own'\n")
        venv.create(folder / "venv", symlinks=os.name != "nt")
        [packages] = {*(folder / "venv").glob("lib/python*/site-packages"), *(folder / "venv").glob("Lib/site-packages")}
        (packages / "of_the_tests.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))
        done = run(folder, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", "retrain")
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return made_once(tmp_path_factory, "installed", install)


def printed(folder: Path, program: str, python_path: str = "") -> list[str]:
    """Return what a script beside the clone prints."""
    (folder / "script.py").write_text(program)
    done = run(folder, "script.py", python_path=python_path)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_script_beside_the_clone_finds_the_packages(installed: Path) -> None:
    program = (
        "import retrain, label_image, retrain.errors\n"
        "print(retrain.__file__, retrain.run.__name__)\n"
        "print(label_image.__file__, label_image.load.__name__)\n"
    )
    assert printed(installed, program) == [
        f"{installed}/retrain/retrain/__init__.py run",
        f"{installed}/retrain/label_image/__init__.py load",
    ]


@pytest.mark.parametrize("command", ["retrain", "retrain.sweep", "label_image"])
def test_the_commands_run_beside_the_clone(command: str, installed: Path) -> None:
    done = run(installed, "-m", command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m {command} ")
    script = installed / "venv" / "bin" / command.replace(".", "_")
    assert subprocess.run([script, "--help"], cwd=installed, capture_output=True, text=True, check=False).stdout == done.stdout


def test_nothing_else_of_the_clone_is_found(installed: Path) -> None:
    program = (
        "import importlib.util, tests.mine\n"
        "print(tests.mine.NAME)\n"
        "print([name for name in ('scripts', 'setup', 'benchmarks') if importlib.util.find_spec(name)])\n"
    )
    assert printed(installed, program) == ["the user's own", "[]"]


def test_another_clone_comes_first_where_it_is_named(installed: Path, tmp_path: Path) -> None:
    other = copy_of_the_project(tmp_path / "other")
    program = "import retrain, label_image\nprint(retrain.__file__)\nprint(label_image.__file__)\n"
    expected = [f"{other}/retrain/__init__.py", f"{other}/label_image/__init__.py"]
    assert printed(installed, program, python_path=str(other)) == expected


def test_new_modules_are_found_and_an_uninstall_leaves_nothing(installed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(installed, tmp_path / "moved", symlinks=True))
    # The environment still names the first clone.
    module = installed / "retrain" / "retrain" / "a_new_module.py"
    module.write_text("NAME = 'new'\n")
    try:
        assert printed(folder, "from retrain.a_new_module import NAME\nprint(NAME)\n") == ["new"]
    finally:
        module.unlink()
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    assert {"_retrain_editable.py", "_retrain_editable.pth"} <= {path.name for path in packages.iterdir()}
    done = run(folder, "-m", "pip", "uninstall", "-y", "retrain")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in packages.iterdir() if "retrain" in path.name] == []
