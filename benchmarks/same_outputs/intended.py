"""Differences that are meant: the table to edit when a change alters a text on purpose."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Intended:
    """A rule that explains lines in which the two checkouts differ.

    Rules are applied, in order, only to lines that differ; what still differs after that is a failure.

    Attributes:
        old: regular expression, searched in a line.
        new: if a text, each match in a line of the OLD checkout is replaced with it, as `re.sub` does; the result must be the
            line of the NEW checkout. If None, matching lines of both checkouts are left out of the comparison.
        reason: why the difference is meant; printed with the number of lines that the rule explained.
        file: pattern of the files, relative to a case's folder, that the rule is for, such as `logs/*.stderr`. The list of the
            files themselves has the name `FILES`; its lines are paths.
        case: pattern of the names of the cases that the rule is for.
    """

    old: str
    new: str | None
    reason: str
    file: str = "*"
    case: str = "*"

    def is_for(self, case: str, file: str) -> bool:
        """Return True if the rule is for this file of this case."""
        return fnmatch.fnmatchcase(case, self.case) and fnmatch.fnmatchcase(file, self.file)

    def apply(self, line: str, of_old: bool) -> str | None:
        """Return the line as the rule leaves it, or None if it is left out."""
        if self.new is None:
            return None if re.search(self.old, line) else line
        return re.sub(self.old, self.new, line) if of_old else line


ENGLISH = "plain English"
LOGS = "logs/*.stderr"

# A line for each difference that is meant.
TABLE: Sequence[Intended] = (
    Intended(r"", None, "texts of --help", case="help", file="logs/*"),
    # The log of training.
    Intended(r"^Training goes on after step", None, "a checkpoint is announced after its checks", LOGS, "resume"),
    Intended(r"^Training goes on after step", "Training resumes after step", ENGLISH, LOGS),
    Intended(r"^Training resumes after step", None, "a checkpoint is announced after its checks", LOGS, "resume"),
    Intended(r"what the training in (.*) has behind it", r"the steps already done by the training in \1", ENGLISH, LOGS),
    Intended(r"training begins at its start", "training starts from the beginning", ENGLISH, LOGS),
    Intended(r"nothing better was found", "the validation cross entropy or the loss no longer fell", ENGLISH, LOGS),
    Intended(r"are no numbers any more", "are not finite", ENGLISH, LOGS),
    # Errors.
    Intended(
        r"Folder that holds one folder of photos for each class", "Folder with one folder of images for each class", ENGLISH, LOGS
    ),
    Intended(r"must be found in the name of", "must match the name of", ENGLISH, LOGS),
    Intended(r"^(error: )?--(fine_tune_layers|final_tensor_name|device|class_weights) must be", None, "reported together", LOGS),
    Intended(r"(the graph|it) has no operation named", "the model has no layer named", ENGLISH, LOGS),
    Intended(r", or take inception_v3", ", or use inception_v3", ENGLISH, LOGS),
    Intended(r"Mend or remove them", "Fix or remove them", ENGLISH, LOGS),
    Intended(r"which only a random search can draw from", "from which only a random search can draw", ENGLISH, LOGS),
    # The bundled network instead of Inception: the log, and the note in the graph's metadata.
    Intended(
        r"^Going on with the bundled network (\w+); name it with --architecture to avoid this warning\.",
        r"The bundled network \1 is used instead. Name a network with --architecture to avoid this warning.",
        ENGLISH,
        LOGS,
    ),
    Intended(
        r"^[0-9]+ bytes, SHA-256 |retrain_description: Const",
        None,
        "the note is plain English",
        "default_network/*",
        "wrong_commands",
    ),
    # A precision that the processor ignores is refused.
    Intended(r"_bfloat16_products|^products/", None, "--precision is refused where it has no effect", "FILES", "other_flags"),
    Intended(r"", None, "--precision is refused where it has no effect", "logs/04_products.*", "other_flags"),
    # A wrong class weight is found before the bottlenecks are made.
    Intended(r"bottlenecks made", None, "class weights are checked before the bottlenecks", LOGS, "wrong_commands"),
)
