"""A client of the service: arrays of flux by seed. It needs httpx and numpy, and of skygen the file web alone.

Catalogues need astropy too.
"""

from skygen.client.answers import Tiles
from skygen.client.client import Client
from skygen.client.transport import SkygenError

__all__ = ["Client", "SkygenError", "Tiles"]
