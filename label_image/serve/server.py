"""`python -m label_image --serve`: the network is loaded, the address printed, and requests answered until Ctrl-C."""

import contextlib
import errno
import ipaddress
import logging
import os
import socket
import sys
import threading
import webbrowser
from typing import NoReturn

import numpy as np

from label_image.classify import classify_each
from label_image.config import LabelConfig
from label_image.found_graph import find_graph
from label_image.imagenet import open_architecture
from label_image.opening import Classifier, open_classifier
from label_image.scoring import Images, Scorer
from label_image.serve.about import about
from label_image.serve.app import make_app
from label_image.serve.batcher import Batcher
from label_image.serve.guard import HostNames
from label_image.serve.limits import Limits
from label_image.serve.protocol import make_server
from retrain.engines.choice import Work
from retrain.errors import FlagError, shown

logger = logging.getLogger("retrain")

BACKLOG = 512  # Connections that wait until they are accepted.
GREY = 128
NO_HOST = "--host {} is no name or address of this machine. Leave it out."


def serve(config: LabelConfig) -> int:
    """Serve a classifier until Ctrl-C or SIGTERM, which end the process as they do without a server.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        FlagError: the address cannot be listened at.
        GraphError, ModelError: the classifier cannot be opened, or does not run.
    """
    with _listen(config) as listening:
        path = None if config.architecture else config.graph or find_graph()
        classifier = open_classifier(path, config) if path else open_architecture(config)
        scorer = _loaded(classifier)
        limits = Limits()
        model = about(classifier, path, config.top_k)
        app = make_app(Batcher(scorer, limits.waiting_images), model, HostNames(config.host), limits)
        server = make_server(app, config.request_seconds, limits.connections)
        address = _address(config.host, listening.getsockname()[1])
        print(f"Labelling with {shown(model['name'])} at {address} (Ctrl-C ends it).", flush=True)
        if not ipaddress.ip_address(listening.getsockname()[0]).is_loopback:
            logger.warning(
                "Everyone who can reach --host %s over the network can use the server: it asks for no password.", config.host
            )
        _open_browser(address)
        server.run(sockets=[listening])
    return 0


def _listen(config: LabelConfig) -> socket.socket:
    """Listen at the address of the flags. Raises FlagError if that is not possible."""
    try:
        family, _, _, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except (socket.gaierror, UnicodeError) as error:
        raise FlagError(NO_HOST.format(shown(config.host))) from error
    try:
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        _refuse(config, error)


def _refuse(config: LabelConfig, error: OSError) -> NoReturn:
    """Raise FlagError for an address that cannot be listened at."""
    if isinstance(error, PermissionError):
        raise FlagError(f"--port {config.port} needs rights that you do not have. Give a port from 1024 on.") from error
    if error.errno == errno.EADDRINUSE:
        raise FlagError(f"--port {config.port} is in use by another program. Give another one, or 0 for any free one.") from error
    if error.errno == errno.EADDRNOTAVAIL:
        raise FlagError(NO_HOST.format(shown(config.host))) from error
    reason = os.strerror(error.errno) if error.errno else error
    raise FlagError(f"--host {shown(config.host)} --port {config.port} cannot be listened at ({reason}).") from error


def _loaded(classifier: Classifier) -> Scorer:
    """Load the network, and run it once, so that a network that does not run is an error now and not at the first request."""
    description = classifier.description
    height, width = (64, 64) if classifier.file_network else (description.input_height, description.input_width)
    scorer = Scorer(classifier, Work())
    for _ in classify_each(scorer, Images([np.full((height, width, 3), GREY, np.uint8)], 1), 1):
        pass
    return scorer


def _address(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}/"


def _open_browser(address: str) -> None:
    """Open the page if a person at a desktop has started the server. A failure is no error: the address is printed too."""
    has_desktop = sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if not (has_desktop and sys.stdout.isatty()):
        return

    def open_it() -> None:
        with contextlib.suppress(Exception):
            webbrowser.open(address)

    threading.Thread(target=open_it, name="browser", daemon=True).start()
