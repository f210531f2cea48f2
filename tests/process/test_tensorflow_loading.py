"""Loading of TensorFlow, and silence meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SEVERAL_THREADS = """
import os, sys, threading, time
from retrain.process.tensorflow_loading import silenced_stderr

def work(number):
    for _ in range(50):
        with silenced_stderr():
            os.write(2, b"a library's line\\n")
            time.sleep(0.0005 * number)

threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
with silenced_stderr():
    os.write(2, b"a library's line\\n")
after = len(os.listdir("/proc/self/fd")) if before else 0
print("the program's own line", after - before, file=sys.stderr)
"""


def output_of(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr


def test_several_threads_are_silenced_and_then_none() -> None:
    assert output_of(SEVERAL_THREADS) == "the program's own line 0\n"


@pytest.mark.slow
def test_a_command_loads_it_in_silence_and_its_actions_wait_for_it() -> None:
    program = """
import sys
from pathlib import Path
from retrain.process.tensorflow_loading import is_loaded, load_tensorflow, silence_tensorflow, tensorflow_errors, when_loaded
done = []
when_loaded(lambda tf: done.append(tf.__name__))
silence_tensorflow()
print(is_loaded(), done, tensorflow_errors(ValueError), file=sys.stderr)
load_tensorflow()
when_loaded(lambda tf: done.append("again"))
print(is_loaded(), done, [each.__name__ for each in tensorflow_errors(ValueError)], file=sys.stderr)
print("keras" in sys.modules, "sklearn" in sys.modules, file=sys.stderr)
import sklearn
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [
        "False [] (<class 'ValueError'>,)",
        "True ['tensorflow', 'again'] ['ValueError', 'OpError']",
        "True False",
    ]


def test_what_a_failing_import_printed_is_shown(tmp_path: Path) -> None:
    """A stand-in for the package, since the real one is not broken here."""
    lines = ["import os", 'os.write(2, b"needs the library libx.so\\n")', 'raise ImportError("no libx.so")']
    (tmp_path / "tensorflow.py").write_text("\n".join(lines))
    program = """
import sys
from pathlib import Path
from retrain.process.tensorflow_loading import load_tensorflow, silence_tensorflow
silence_tensorflow()
try:
    load_tensorflow()
except ImportError as error:
    print(error, file=sys.stderr)
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{ROOT}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "needs the library libx.so\nno libx.so\n"
