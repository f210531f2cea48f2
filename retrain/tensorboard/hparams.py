"""Summaries of TensorBoard's HParams page, made of its messages alone: its own functions for them load TensorFlow."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo


def experiment_summary(flags: Iterable[str], tags: Iterable[str]) -> Summary:
    """Return the summary of an experiment: names of the flags that differ between its sessions, and tags of its metrics."""
    experiment = api_pb2.Experiment(
        time_created_secs=time.time(),
        hparam_infos=[api_pb2.HParamInfo(name=name) for name in flags],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in tags],
    )
    return _summary(metadata.EXPERIMENT_TAG, experiment=experiment)


def start_summary(values: Mapping[str, float | str]) -> Summary:
    """Return the summary of a session's start: the values of its flags by name."""
    info = SessionStartInfo(start_time_secs=time.time())
    for name, value in values.items():
        if isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return _summary(metadata.SESSION_START_INFO_TAG, session_start_info=info)


def end_summary() -> Summary:
    """Return the summary of a session's successful end."""
    info = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, session_end_info=info)


def _summary(tag: str, **data: Any) -> Summary:
    about = metadata.create_summary_metadata(HParamsPluginData(**data))
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])
