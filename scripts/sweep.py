"""Earlier name of `python -m retrain.sweep`: `python -m scripts.sweep …` does the same."""

if __name__ == "__main__":
    from retrain.sweep.__main__ import start

    start()
