"""Program that labels images with MediaPipe's image classifier: `python mediapipe_classifier.py MODEL IMAGE…`.

It prints a JSON list with the best label and its score for each image. It is run by a Python that has MediaPipe.
"""

import json
import sys


def main() -> None:
    """Label the images of the command line."""
    import mediapipe
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    options = vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=sys.argv[1]))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        found = [
            classifier.classify(mediapipe.Image.create_from_file(path)).classifications[0].categories[0] for path in sys.argv[2:]
        ]
    print(json.dumps([(best.category_name, best.score) for best in found]))


if __name__ == "__main__":
    main()
