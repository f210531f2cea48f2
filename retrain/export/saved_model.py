"""Conversion to a SavedModel, for TensorFlow Serving and for Python."""

import os
import shutil

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import OutputError, reason_of
from retrain.files import temporary_beside, write_atomically
from retrain.graphdef.description import DESCRIPTION_FILE, Description
from retrain.graphdef.nodes import node_name
from retrain.graphdef.rewrite import runnable_copy
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.process.tensorflow_loading import load_tensorflow


def write_saved_model(folder: str, graph_def: GraphDef, description: Description) -> None:
    """Write a SavedModel whose `serving_default` has the input `image`, float32 [N, H, W, 3], and the output `prediction`.

    Args:
        folder: must not exist, or be empty.
        graph_def: the exported graph.
        description: names its tensors; written to `assets.extra/retrain_description.json` too.

    Raises:
        OutputError: the files cannot be written.
    """
    tf, temporary = load_tensorflow(), temporary_beside(folder)
    try:
        _write(temporary, graph_def, description)
        os.makedirs(os.path.join(temporary, os.path.dirname(DESCRIPTION_FILE)), exist_ok=True)
        write_atomically(os.path.join(temporary, DESCRIPTION_FILE), description.to_json().encode())
        os.replace(temporary, folder)  # An empty folder is no obstacle.
    except (OSError, tf.errors.OpError) as error:
        raise OutputError(
            f"--saved_model_dir {folder} cannot be written ({reason_of(error)}). Make room, or give another place."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: str, graph_def: GraphDef, description: Description) -> None:
    tf, shape = load_tensorflow(), [None, description.input_height, description.input_width, 3]
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, shape, name="image")
        [prediction] = tf.graph_util.import_graph_def(
            to_tensorflow(runnable_copy(graph_def, keep=node_name(description.input_tensor))),
            {description.input_tensor: image},
            [description.output_tensor],
            name="retrained",
        )
        signature = tf.compat.v1.saved_model.predict_signature_def({"image": image}, {"prediction": prediction})
        builder = tf.compat.v1.saved_model.Builder(folder)
        with tf.compat.v1.Session(graph=graph) as session:
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.SERVING],
                {tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
                strip_default_attrs=True,
            )
            builder.save()
