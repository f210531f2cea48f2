"""The earlier door to sweeps: `python -m scripts.sweep …` is `python -m retrain.sweep …`."""

if __name__ == "__main__":
    from retrain.sweep.__main__ import start

    start()
