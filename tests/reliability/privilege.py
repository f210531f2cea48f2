"""Running a command without root's privilege to read and write everything, so that what is forbidden really is."""

import os
import shutil
import subprocess

# Root reads what nobody may read, unless it is without these capabilities.
WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


def unprivileged() -> list[str] | None:
    """Return what to put before a command so that it has no right of root to read every file; None if that is impossible."""
    if os.geteuid() != 0:
        return []
    possible = shutil.which("setpriv") and subprocess.run([*WITHOUT_PRIVILEGE, "true"], check=False).returncode == 0
    return WITHOUT_PRIVILEGE if possible else None
