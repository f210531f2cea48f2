"""Reports as text, CSV and JSON."""

from label_image.classify import Classification
from label_image.report import as_csv, as_json, as_text

ANSWERS = [
    Classification("a b.jpg", ("daisy", "roses"), (0.99071, 0.0000049), 0.1234),
    Classification('c "d", e.jpg', ("roses", "daisy"), (0.75, 0.25), 0.2),
]


def test_text_of_one_and_of_several() -> None:
    one = "Evaluation time (1-image): 0.123s\n\ndaisy (score=0.99071)\nroses (score=0.00000)\n"
    assert as_text(ANSWERS[:1]) == one
    assert as_text(ANSWERS) == (
        "a b.jpg\ndaisy (score=0.99071)\nroses (score=0.00000)\n\n"
        'c "d", e.jpg\nroses (score=0.75000)\ndaisy (score=0.25000)\n\n'
        "Evaluation time (1-image): 0.162s\n"  # The mean.
    )


def test_csv() -> None:
    assert as_csv(ANSWERS) == (
        "image,rank,label,score\n"
        "a b.jpg,1,daisy,0.9907100\n"
        "a b.jpg,2,roses,0.0000049\n"
        '"c ""d"", e.jpg",1,roses,0.7500000\n'
        '"c ""d"", e.jpg",2,daisy,0.2500000\n'
    )
    assert as_csv([]) == "image,rank,label,score\n"


def test_json() -> None:
    assert as_json(ANSWERS[1:]) == (
        """[
  {
    "image": "c \\"d\\", e.jpg",
    "predictions": [
      {
        "label": "roses",
        "score": 0.75
      },
      {
        "label": "daisy",
        "score": 0.25
      }
    ]
  }
]
"""
    )
    assert as_json([]) == "[]\n"
