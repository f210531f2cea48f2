"""A small Inception, as most tests of graphs need one."""

import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef

from tests.support.stand_ins import tiny_inception_graph


@pytest.fixture(scope="session")
def tiny_inception() -> GraphDef:
    return tiny_inception_graph()
