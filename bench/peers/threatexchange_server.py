"""The peer of `http-lookups`: `GET /m/raw_lookup` over threatexchange's own index, as the field's server answers it.

Run by gunicorn with one worker; `BAKEN_BENCH_CODES` names a `.npy` file of uint8[N, 32] that becomes the bank.
"""

from __future__ import annotations

import os

import numpy as np
from flask import Flask, Response, abort, jsonify, request
from threatexchange.signal_type.pdq.signal import PdqSignal


def create_app() -> Flask:
    """The server with its index built, one threatexchange entry a code, its row as the entry."""
    codes = np.load(os.environ["BAKEN_BENCH_CODES"])
    index = PdqSignal.get_index_cls().build((row.tobytes().hex(), number) for number, row in enumerate(codes))
    app = Flask(__name__)

    @app.get("/m/raw_lookup")
    def raw_lookup() -> Response:
        """Every entry within 31 bits, with its distance."""
        if request.args.get("signal_type") != PdqSignal.get_name():
            abort(400, f"No such SignalType {request.args.get('signal_type')!r}")
        try:
            signal = PdqSignal.validate_signal_str(request.args.get("signal", ""))
        except ValueError as error:
            abort(400, f"invalid signal: {error}")
        matches = index.query(signal)
        return jsonify(
            matches=[{"content_id": each.metadata, "distance": each.similarity_info.pretty_str()} for each in matches]
        )

    return app
