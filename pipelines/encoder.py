"""DVC stage encoder@SET: training tiles → the frozen feature encoder. Usage: python pipelines/encoder.py SET"""

import sys
from pathlib import Path

from skygen.encoder.training import train_encoder
from skygen.files import replace_folder
from skygen.params import load_or_end
from skygen.tiles.store import TileStore


def main(tiles: str) -> None:
    """Train the encoder of one tile set and describe its training tiles with it; say why where that cannot be done."""
    params = load_or_end()
    try:
        store = TileStore.open(Path("data/tiles") / tiles)
        with replace_folder(Path("models/encoders") / tiles) as folder:
            encoder = train_encoder(folder, store, params.encoder, params.chosen.encoder[tiles])
    except (FileNotFoundError, BlockingIOError) as error:
        sys.exit(f"encoder {tiles}: {error}")
    except PermissionError as error:
        sys.exit(f"encoder {tiles}: {error}; see to its permissions, or remove it where another user's run left it")
    print(f"encoder of {tiles}: {encoder.sha256}")


if __name__ == "__main__":
    main(*sys.argv[1:])
