"""The table, the CSV and the HParams of given outcomes."""

import csv
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from retrain.sweep.choice import with_pareto_front
from retrain.sweep.report import table, write_csv, write_hparams
from retrain.sweep.rows import rows_of
from tests.support.sweeping import outcome

COMPARED = with_pareto_front(
    [
        outcome("mobilenet", 0.70, 2.126, 1.998, seed=1, bottleneck_ms=1.654),
        outcome("mobilenet", 0.72, 2.126, 1.998, seed=2),
        outcome("resnet", 0.60, 12.34, 2.387, test_accuracy=None),
    ]
)
SINGLE = [outcome("mobilenet", None, test_accuracy=0.75), outcome("mobilenet", 0.5, bottleneck_ms=3.0, swept={"l2": "1"})]
BEFORE = "trial,architecture,random_seed,network,test_accuracy,validation_accuracy,training_seconds,trained_numbers,network_bytes"


def test_the_table_of_several_networks() -> None:
    assert table(rows_of(COMPARED)).splitlines() == [
        "| architecture | test accuracy        | validation accuracy  | seeds | training | head          | network | one photo "
        "| bottlenecks      | Pareto front |",
        "| ------------ | -------------------- | -------------------- | ----- | -------- | ------------- | ------- | --------- "
        "| ---------------- | ------------ |",
        "| mobilenet    | 50.0% (50.0 to 50.0) | 71.0% (70.0 to 72.0) | 2     | 1.50 s   | 5,010 numbers | 2.0 MB  | 2.13 ms   "
        "| 1.65 ms an image | yes          |",
        "| resnet       | no images            | 60.0%                | 1     | 1.50 s   | 5,010 numbers | 2.4 MB  | 12.3 ms   "
        "| cached           |              |",
    ]


def test_the_table_of_one_network_has_no_costs() -> None:
    assert table(rows_of(SINGLE[:1])).splitlines() == [
        "| architecture | test accuracy | validation accuracy | seeds | training | head          | network |",
        "| ------------ | ------------- | ------------------- | ----- | -------- | ------------- | ------- |",
        "| mobilenet    | 75.0%         | no images           | 1     | 1.50 s   | 5,010 numbers | 1.0 MB  |",
    ]


def test_the_csv(tmp_path: Path) -> None:
    write_csv(str(tmp_path / "sweep.csv"), COMPARED)
    assert (tmp_path / "sweep.csv").read_text(encoding="utf-8").splitlines() == [
        f"{BEFORE},n_test,n_steps,network_ms,bottleneck_ms,pareto_front",
        "0,mobilenet,1,mobilenet,0.5,0.7,1.5,5010,1998000,10,100,2.126,1.654,1",
        "1,mobilenet,2,mobilenet,0.5,0.72,1.5,5010,1998000,10,100,2.126,,1",
        "2,resnet,1,resnet,,0.6,1.5,5010,2387000,10,100,12.34,,0",
    ]


def test_the_csv_of_one_network_has_the_same_columns(tmp_path: Path) -> None:
    write_csv(str(tmp_path / "sweep.csv"), SINGLE[:1])
    with open(tmp_path / "sweep.csv", newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert (row["network_ms"], row["bottleneck_ms"], row["pareto_front"]) == ("", "", "")


def scalars(folder: Path) -> dict[str, float]:
    events = EventAccumulator(str(folder)).Reload()
    return {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}


def metrics(folder: Path) -> list[str]:
    """Return the metrics that the HParams page shows."""
    content = EventAccumulator(str(folder)).Reload().SummaryMetadata("_hparams_/experiment").plugin_data.content
    return [info.name.tag for info in HParamsPluginData.FromString(content).experiment.metric_infos]


def test_hparams_have_the_costs_of_several_networks(tmp_path: Path) -> None:
    write_hparams(str(tmp_path), COMPARED)
    assert metrics(tmp_path)[-3:] == ["network_ms", "bottleneck_ms", "pareto_front"]
    first, last = scalars(tmp_path / "trial_0"), scalars(tmp_path / "trial_2")
    assert (round(first["network_ms"], 3), round(first["bottleneck_ms"], 3), first["pareto_front"]) == (2.126, 1.654, 1)
    assert "bottleneck_ms" not in last and last["pareto_front"] == 0


def test_hparams_of_one_network_have_none(tmp_path: Path) -> None:
    write_hparams(str(tmp_path), SINGLE)
    expected = ["test_accuracy", "validation_accuracy", "training_seconds", "trained_numbers", "network_bytes"]
    assert metrics(tmp_path) == expected
    assert list(scalars(tmp_path / "trial_1")) == expected
