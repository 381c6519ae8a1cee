"""The module of the service, imported past the warnings of BentoML's own imports."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from serving import service

__all__ = ["service"]
