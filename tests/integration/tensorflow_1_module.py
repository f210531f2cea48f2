"""A program for TensorFlow 1.15 that writes a Hub module of that time: `python tensorflow_1_module.py FOLDER INPUT OUTPUT`.

With what makes the old format awkward: reference variables, one of them in two parts, batch normalisation, a graph for training.
INPUT is an array (.npy), OUTPUT what the module gives for it. This file runs under Python 3.7 too.
"""

import sys

import numpy as np
import tensorflow as tf


def main(folder: str, input_file: str, output_file: str) -> None:
    """Write the module, and its output."""
    builder = tf.saved_model.builder.SavedModelBuilder(folder)
    for tags, training in ([], False), (["train"], True):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(3)
            images = tf.placeholder(tf.float32, [None, 32, 32, 3])
            with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2, axis=3)):
                values = tf.layers.conv2d(images, 8, 3, activation=tf.nn.relu, use_bias=False)
            vectors = tf.reduce_mean(tf.layers.batch_normalization(values, training=training), [1, 2])
            predict = tf.saved_model.signature_def_utils.predict_signature_def
            signatures = {"default": predict({"images": images}, {"default": vectors})}
            if training:
                builder.add_meta_graph(tags, signatures)
                continue
            session.run(tf.global_variables_initializer())
            builder.add_meta_graph_and_variables(session, tags, signatures)
            np.save(output_file, session.run(vectors, {images: np.load(input_file)}))
    builder.save()
    with open(folder + "/tfhub_module.pb", "wb") as file:
        file.write(b"\x08\x03")  # hub.ModuleDef {format: FORMAT_V3}


if __name__ == "__main__":
    assert tf.__version__.startswith("1.15"), tf.__version__
    main(*sys.argv[1:])
