"""A `python` that has imported what stages import: each script it is given runs in a fork of it.

A stage of the tiny pipeline computes for a second, and imports for five. Scripts, the project's package and the
environment are as where a new process starts; what is spared is the import of other people's packages.
"""

import gc
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

IMPORTED = (
    "astropy.io.fits",
    "galsim",
    "matplotlib.figure",
    "mlflow.data.meta_dataset",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.system_metrics.metrics.cpu_monitor",
    "pyarrow.parquet",
    "scipy.ndimage",
    "sep",
    "skimage.feature",
    "sklearn.decomposition",
    "torch._dynamo",
)
# Asks for a fork, and ends as it does; what is no script of ours gets a Python of its own.
CLIENT = """#!{python} -IS
import json, os, socket, sys
if not sys.argv[1:] or not sys.argv[1].endswith(".py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect({address!r})
    socket.send_fds(asking, [b"x"], [0, 1, 2])
    asking.sendall(json.dumps([os.getcwd(), dict(os.environ), sys.argv[1:]]).encode())
    asking.shutdown(socket.SHUT_WR)
    status = asking.recv(8)
sys.exit(int(status or 1))
"""


@contextmanager
def warm_python(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """The folder with that `python`, to be the first of PATH; it and its socket lie in `folder`."""
    binaries, address = folder / "bin", folder / "python.socket"
    binaries.mkdir()
    client = binaries / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        command = [sys.executable, __file__, str(listener.fileno())]
        server = subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()])
    try:
        yield binaries
    finally:
        server.kill()
        server.wait()


def next_script(listener: socket.socket) -> list[str]:
    """Serve one script after another, and return in the fork that is to run the next: its arguments."""
    while True:
        asking, _ = listener.accept()
        with asking:
            _, streams, _, _ = socket.recv_fds(asking, 1, 3)
            with asking.makefile("rb") as stream:
                folder, environment, arguments = json.load(stream)
            child = os.fork()
            if child:
                for number in streams:
                    os.close(number)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                asking.sendall(b"%d" % (status if status >= 0 else 128 - status))
                continue
        listener.close()
        for number, theirs in enumerate(streams):
            os.dup2(theirs, number)
            os.close(theirs)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        return list(arguments)


if __name__ == "__main__":
    del sys.path[0]
    for module in IMPORTED:
        import_module(module)
    gc.freeze()  # or every fork would look through all of it for garbage, and copy it by that
    sys.argv = next_script(socket.socket(fileno=int(sys.argv[1])))
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
