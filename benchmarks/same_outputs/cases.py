"""The commands that are run with both checkouts, in cases that each have a folder of their own."""

from benchmarks.same_outputs.commands import NETWORK, Case, label, run, sweep, train
from benchmarks.same_outputs.inputs import ARCHIVE

ALL_EXPORTS = ("tflite", "tflite:float16", "tflite:dynamic", "tflite:int8", "onnx")
NOTHING_LISTENS = "http://127.0.0.1:9/"
_DISTORTIONS = ("--flip_left_right", "--random_crop=10", "--random_scale=10", "--random_brightness=15")
_FINE_TUNING = (
    "--fine_tune_steps=4",
    "--fine_tune_batch_size=8",
    "--eval_step_interval=2",
    "--how_many_training_steps=6",
    "--train_batch_size=8",
)
_DEFAULT = (
    "--how_many_training_steps=200",
    "--intermediate_store_frequency=70",
    "--print_misclassified_test_images",
    "--testing_percentage=20",
)
_OLD_FLAGS = ("--input_layer=input", "--output_layer=final_result", "--input_height=128", "--input_width=128")
_EXPORTED = tuple(f"exported/graph.{end}" for end in ("tflite", "float16.tflite", "dynamic.tflite", "int8.tflite", "onnx"))


def _training_cases() -> tuple[Case, ...]:
    twice = tuple(
        train(name, *_DEFAULT, f"--saved_model_dir={name}/saved_model", f"--timing_report={name}/times.json")
        for name in ("first", "again")
    )
    head = ("--hidden_units=24,16", "--dropout=0.2", "--l2=0.0001", "--label_smoothing=0.05", "--class_weights=balanced")
    stopping = ("--early_stopping=3", "--optimizer=momentum", "--learning_rate_schedule=cosine", "--learning_rate=0.05")
    several = ("--logging_verbosity=DEBUG", "--final_tensor_name=scores/out", "--bottleneck_batch_size=7", "--device=cpu")
    batches = ("--train_batch_size=-1", "--validation_batch_size=-1", "--test_batch_size=9", "--eval_step_interval=7")
    return (
        Case("default", (*twice, run("evaluate", "scripts.evaluate", "first/graph.pb", "--image_dir=photos", "--split=all"))),
        Case("distortions", (train("distorted", *_DISTORTIONS, "--how_many_training_steps=15", "--train_batch_size=20"),)),
        Case("hidden_layers", (train("hidden", *head, "--optimizer=adam", "--learning_rate=0.002"),)),
        Case("lbfgs", (train("lbfgs", "--optimizer=lbfgs", "--how_many_training_steps=20", "--l2=0.001"),)),
        Case("early_stopping", (train("stopped", *stopping, "--how_many_training_steps=400"),)),
        Case(
            "other_flags",
            (
                train("several", *several, *batches, "--class_weights=daisy=2,roses=0.5"),
                train("no_sets", "--testing_percentage=0", "--validation_percentage=0", "--learning_rate_schedule=linear"),
                train("diverged", "--learning_rate=1e30", "--learning_rate_schedule=exponential", "--hidden_units=8"),
                train("quiet", "--logging_verbosity=ERROR", "--how_many_training_steps=0"),
                train("products", "--precision=bfloat16_products", "--how_many_training_steps=10"),
                train("bfloat16", "--precision=bfloat16", "--how_many_training_steps=10"),
            ),
        ),
        Case(
            "fine_tuning",
            (
                train("plain", *_FINE_TUNING),
                train("distorted", *_FINE_TUNING, *_DISTORTIONS, "--fine_tune_layers=res[23]"),
                train("all_layers", *_FINE_TUNING, *_DISTORTIONS, "--validation_percentage=0", "--export=tflite"),
                train("pixels", *_FINE_TUNING, "--architecture=pixels_28"),
            ),
        ),
        Case(
            "resume",
            (
                train("part", "--how_many_training_steps=31", "--optimizer=adam", "--dropout=0.1"),
                run("other_seed", *_resumed("part", "--random_seed=8")),
                run("rest", *_resumed("part")),
                run("too_few", *_resumed("part", "--how_many_training_steps=20")),
                train("whole", "--how_many_training_steps=60", "--optimizer=adam", "--dropout=0.1"),
                train("nothing_there", "--resume"),
            ),
        ),
    )


def _resumed(name: str, *flags: str) -> tuple[str, ...]:
    return train(name, "--resume", "--optimizer=adam", "--dropout=0.1", *flags).args


def _network_cases() -> tuple[Case, ...]:
    graph = "--architecture=networks/graph.pb"
    layers = ("--input_layer=input", "--bottleneck_layer=features", "--input_mean=0", "--input_std=255")
    own = train("own", "--how_many_training_steps=20")
    module = "--tfhub_module=networks/module"
    return (
        Case(
            "local_graph",
            (
                train("inferred", graph),
                train("named", graph, *layers, "--input_height=32", "--input_width=32"),
                own,
                train("of_own", "--architecture=own/graph.pb"),
                train("broken", "--architecture=networks/broken.pb"),
                train("no_layer", graph, "--bottleneck_layer=none_such"),
            ),
            ("networks/graph.pb", "networks/broken.pb"),
        ),
        Case(
            "hub_modules",
            (
                train("format_2", f"{module}_2"),
                train("archive", f"{module}_2.tar.gz"),
                train("format_1", f"{module}_1", "--input_height=40", "--input_width=36"),
                train("missing", f"{module}_3"),
            ),
            ("networks/module_1", "networks/module_2", "networks/module_2.tar.gz"),
        ),
        Case("pixels", (train("pixels", "--architecture=pixels_28", "--hidden_units=16", "--saved_model_dir=pixels/saved"),)),
        Case(
            "exports",
            (
                train("exported", "--saved_model_dir=exported/saved_model", "--export", *ALL_EXPORTS),
                *(
                    label(f"label_{number}", graph, "--labels=exported/graph.txt", "--output_format=json", "--image", "some")
                    for number, graph in enumerate((*_EXPORTED, "exported/saved_model"))
                ),
                *(
                    run(f"evaluate_{name}", "scripts.evaluate", f"exported/{name}", "--image_dir=photos", "--split_by=content")
                    for name in ("graph.int8.tflite", "saved_model")
                ),
            ),
            ("some",),
        ),
    )


def _mobilenet_case() -> Case:
    trained = ("--graph=original/original_retrained_graph.pb", "--labels=original/original_retrained_labels.txt")
    size = ("--input_height=128", "--input_width=128", "--input_mean=127.5", "--input_std=127.5")
    return Case(
        "mobilenet",
        (
            train("mobilenet", "--architecture=mobilenet_0.25_128", "--bottleneck_dir=reference", "--export=tflite:int8"),
            run("original", "label_image", *trained, *size, "--output_format=csv", "--image", "some"),
            run("imagenet", "label_image", "--architecture=mobilenet_0.25_128", "--model_dir=models", "--image", "some"),
            sweep("two_networks", f"--architecture=mobilenet_0.25_128,{NETWORK}", "--how_many_training_steps=20"),
            train("tuned", *_FINE_TUNING, "--architecture=mobilenet_0.25_128", "--bottleneck_dir=reference"),
        ),
        (f"models/{ARCHIVE}", "reference", "original", "some"),
    )


def _command_cases() -> tuple[Case, ...]:
    graph, own = "own/graph.pb", train("own", "--how_many_training_steps=20")
    door = train("door", "--how_many_training_steps=5", module="scripts.retrain")
    return (
        Case(
            "sweep",
            (
                sweep(
                    "grid",
                    "--learning_rate=0.01,0.1",
                    "--random_seed=1,2",
                    "--how_many_training_steps=40",
                    f"--architecture={NETWORK}",
                ),
                sweep(
                    "random",
                    "--random_search=3",
                    "--search_seed=5",
                    "--learning_rate=0.001..0.5",
                    "--hidden_units=8;16,8",
                    "--dropout=0,0.2",
                    "--optimizer=adam,momentum",
                    "--how_many_training_steps=30",
                    "--architecture=pixels_28",
                ),
                sweep(
                    "alone",
                    "--flip_left_right=True,False",
                    "--how_many_training_steps=3",
                    "--train_batch_size=8",
                    f"--architecture={NETWORK}",
                ),
                sweep("range", "--learning_rate=0.1..0.2"),
                sweep("wrong", "--dropout=0.1,2", "--optimizer=adam,none_such"),
            ),
        ),
        Case(
            "label_image",
            (
                own,
                label("one", graph, "--image=some/0.jpg", "--labels=own/graph.txt"),
                label("several", graph, "--top_k=2", "--image", "some/1.jpg", "some/2.jpg", "some/0.jpg"),
                label("json", graph, "--output_format=json", "--image", "some/1.jpg", "odd_photos"),
                label("csv", graph, "--output_format=csv", "--top_k=3", "--image", "photos"),
                label("old_flags", graph, *_OLD_FLAGS, "--input_mean=100", "--input_std=90", "--image=some/0.jpg"),
                label("wrong_layer", graph, "--input_layer=none_such", "--image=some/0.jpg"),
                label("no_image", graph, "--image", "some/0.jpg", "missing.jpg"),
                label("no_graph", "missing.pb", "--image=some/0.jpg"),
                run("both", "label_image", f"--graph={graph}", f"--architecture={NETWORK}", "--image=some/0.jpg"),
                run("network", "label_image", f"--architecture={NETWORK}", "--image=some/0.jpg"),
                run("flags", "label_image", f"--graph={graph}", "--image=some/0.jpg", "--top_k=0", "--output_format=xml"),
                run("evaluate", "scripts.evaluate", graph, "--image_dir=odd_photos", "--split=all", "--labels=own/graph.txt"),
            ),
            ("some",),
        ),
        Case(
            "scripts",
            (
                door,
                run("label", "scripts.label_image", "--graph=door/graph.pb", "--image=some/0.jpg"),
                run("flowers", "scripts.make_flowers", "--output_dir=flowers", "--images_per_class=1", "--random_seed=3"),
                run("count", "scripts.count_ops", "door/graph.pb"),
                run("list", "scripts.count_ops", "door/graph.pb", "Conv2D"),
                run("to_tensorboard", "scripts.graph_pb2tb", "tensorboard", "door/graph.pb"),
                run("show", "scripts.show_image", "--print_only", "some/0.jpg"),
                run("evaluate_wrong", "scripts.evaluate", "door/graph.pb", "--image_dir=missing", "--split=none_such"),
            ),
            ("some",),
        ),
        Case(
            "odd_photos",
            (
                train("odd", "--image_dir=odd_photos", "--print_misclassified_test_images", "--testing_percentage=30"),
                train("again", "--image_dir=odd_photos", "--flip_left_right", "--how_many_training_steps=5"),
                train("tuned", "--image_dir=odd_photos", *_FINE_TUNING),
                train("strict", "--image_dir=odd_photos", "--strict"),
            ),
        ),
        Case(
            "caches",
            (
                train("by_old", "--how_many_training_steps=31", by_old=True),
                train("read", "--how_many_training_steps=40"),
                train("by_old", "--how_many_training_steps=60", "--resume"),
                label("label", "by_old/graph.pb", "--image", "some"),
            ),
            ("some",),
        ),
    )


def _error_cases() -> tuple[Case, ...]:
    wrong = ("--learning_rate=-1", "--dropout=1.5", "--optimizer=none_such", "--train_batch_size=0", "--random_crop=many")
    together = ("--tfhub_module=a", "--architecture=pixels_28")
    same = ("--output_graph=same", "--output_labels=same")
    modules = ("retrain", "label_image", "scripts.sweep", "scripts.evaluate", "scripts.make_flowers")
    return (
        Case(
            "wrong_commands",
            (
                run("nothing", "retrain"),
                train("several", *wrong),
                train("no_folder", "--image_dir=missing"),
                train("no_photos", "--image_dir=photos/daisy"),
                train("unknown_network", "--architecture=mobilenet_3.0_7"),
                train("unknown_flag", "--no_such_flag=1"),
                train("together", *together),
                train("same_file", *same),
                train("not_empty", "--summaries_dir=some"),
                train("taken", "--saved_model_dir=some"),
                train("folder_as_graph", "--output_graph=some"),
                train("exports", "--export", "tflite", "tflite", "none_such"),
                train("export_collides", "--output_graph=a.tflite", "--export=tflite"),
                train("percentages", "--testing_percentage=60", "--validation_percentage=50"),
                train("lbfgs", "--optimizer=lbfgs", "--dropout=0.5"),
                train("stopping", "--early_stopping=2", "--validation_percentage=0"),
                train("tensor_name", "--final_tensor_name=a b", "--fine_tune_layers=(", "--device=tpu"),
                train("units", "--hidden_units=8,x", "--class_weights=daisy"),
                train("weights", "--class_weights=none_such=2"),
                train("no_network", "--architecture=inception_v3", f"--model_url_base={NOTHING_LISTENS}"),
                train("tuned_pattern", "--fine_tune_steps=2", "--fine_tune_layers=none_such"),
                run("default_network", *_without_network("default_network")),
                run("sweep", "scripts.sweep", "--image_dir=missing", "--sweep_dir=swept"),
            ),
            ("some",),
        ),
        Case("help", tuple(run(f"{module}_help", module, "--help") for module in modules)),
    )


def _without_network(name: str) -> tuple[str, ...]:
    """Return a command that has to be content with the network of the project, as the default cannot be downloaded."""
    args = train(name, f"--model_url_base={NOTHING_LISTENS}", "--how_many_training_steps=10").args
    return tuple(arg for arg in args if not arg.startswith("--architecture"))


def all_cases(with_mobilenet: bool) -> tuple[Case, ...]:
    """Return the cases, in the order in which they run."""
    mobilenet = (_mobilenet_case(),) if with_mobilenet else ()
    return (*_training_cases(), *_network_cases(), *mobilenet, *_command_cases(), *_error_cases())
