"""Baken: screening of images against banks of known fingerprints.

>>> import baken
>>> computed = baken.fingerprint("photo.jpg")       # doctest: +SKIP
>>> computed.pdq.hex(), computed.quality_percent    # doctest: +SKIP
"""

from baken._native import HammingIndex
from baken.fingerprints import fingerprint
from baken.model import Fingerprints, Unscreenable, UnscreenableReason

__version__ = "0.1.0"

__all__ = ["Fingerprints", "HammingIndex", "Unscreenable", "UnscreenableReason", "__version__", "fingerprint"]
