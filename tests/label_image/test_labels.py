"""Files of labels as people's editors and other tools write them."""

from pathlib import Path

import pytest

from label_image.labels import find_labels, read_labels
from retrain.errors import GraphError

TEXT = "daisy\nKäse\n"
LABELS = ("daisy", "Käse")


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
        TEXT.replace("\n", "\r").encode(),
        TEXT.rstrip().encode(),
        (TEXT + "\n\n").encode(),
        b"0 daisy\n1 K\xc3\xa4se\n",
    ],
    ids=[
        "utf-8",
        "byte order mark",
        "utf-16",
        "utf-16 big end first",
        "CRLF",
        "CR",
        "no last newline",
        "blank lines",
        "numbered",
    ],
)
def test_the_labels_are_the_same(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(data)
    assert read_labels(str(path)) == LABELS


@pytest.mark.parametrize("text", ["1 cat\n2 dog\n", "0 cat\ndog\n", "0 cat\n2 dog\n", "0cat\n1dog\n"])
def test_other_numbers_belong_to_the_labels(text: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    assert read_labels(str(path)) == tuple(text.splitlines())


@pytest.mark.parametrize("data", [b"caf\xe9\n", b"\xff\xfea"])
def test_another_encoding_is_an_error(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(data)
    with pytest.raises(GraphError) as caught:
        read_labels(str(path))
    assert str(caught.value) == f"--labels {path} cannot be read (it is not UTF-8 text)."


@pytest.mark.parametrize("name", ["optimized_labels.txt", "retrained_labels.txt", "output_labels.txt", "labels.txt"])
def test_usual_names_beside_the_graph_are_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("daisy\nroses\n")
    assert find_labels(str(tmp_path / "optimized_graph.pb"), None, None) == ("daisy", "roses")


def test_the_graphs_own_name_comes_first(tmp_path: Path) -> None:
    (tmp_path / "optimized_labels.txt").write_text("own\n")
    (tmp_path / "retrained_labels.txt").write_text("other\n")
    assert find_labels(str(tmp_path / "optimized_graph.pb"), None, None) == ("own",)
