# Two images, neither run as root: `serve` answers over HTTP, `train` runs the pipeline.
#
#   docker build --target serve -t skygen:serve .     after `make repro`: it takes dist/skygen.bento
#   docker run -p 3000:3000 skygen:serve
#
#   docker build --target train --build-arg SKYGEN_COMMIT="$(git rev-parse HEAD)" -t skygen:train .
#   docker run --gpus all --user "$(id -u):$(id -g)" -v "$PWD":/home/skygen/project skygen:train
# as the owner of the mounted clone, in which results land.
#
# torch's public wheel brings the CUDA libraries. `--build-arg PIP_EXTRA_INDEX_URL=...`, naming an index with torch's
# CPU builds, makes an image that is several gigabytes smaller.

FROM docker.io/library/python:3.11-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN useradd --uid 1000 --create-home skygen \
    && install --directory --owner=skygen --group=skygen /home/skygen/project \
    && python -m venv /opt/venv
WORKDIR /home/skygen/project

FROM base AS serve
ARG PIP_EXTRA_INDEX_URL
COPY pyproject.toml requirements.lock /tmp/
RUN python -c "import tomllib; p = tomllib.load(open('/tmp/pyproject.toml', 'rb'))['project']; \
               print(*p['dependencies'], *p['optional-dependencies']['serve'], sep='\n')" > /tmp/needs.txt \
    && pip install -c /tmp/requirements.lock -r /tmp/needs.txt
ENV BENTOML_DO_NOT_TRACK=True
WORKDIR /home/skygen
USER 1000
# The Bento holds the service, the package skygen and the bundles. It is a tar archive in xz, which the image lacks and
# Python has.
RUN --mount=type=bind,source=dist/skygen.bento,target=/tmp/skygen.bento \
    python -m tarfile -e /tmp/skygen.bento bento && chmod -R a+rX bento
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/readyz', timeout=4)"]
# As any user and on a read-only root: what BentoML writes goes to /tmp, or to /dev/shm, which a container always has.
ENTRYPOINT ["/bin/sh", "-c", "test -w /tmp || export TMPDIR=/dev/shm; \
            export HOME=${TMPDIR:-/tmp} BENTOML_HOME=${BENTOML_HOME:-${TMPDIR:-/tmp}/bentoml}; exec \"$@\"", "sh"]
CMD ["bentoml", "serve", "/home/skygen/bento", "--host", "0.0.0.0", "--port", "3000", "--timeout-graceful-shutdown", "75"]

# What `train` takes from the project, gathered so that it becomes one layer there.
FROM scratch AS project
COPY .dvc /.dvc
COPY data /data
COPY encoders /encoders
COPY src /src
COPY pipelines /pipelines
COPY serving /serving
COPY .dvcignore LICENSE README.md dvc.* params.yaml pyproject.toml requirements.lock /

FROM base AS train
ARG PIP_EXTRA_INDEX_URL
# git: DVC and the recorded commit read a mounted clone, which may belong to another user.
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*'
COPY requirements.lock /tmp/
RUN pip install -r /tmp/requirements.lock
COPY --from=project --chown=1000:1000 / .
# Without a mounted clone there is no git: DVC is told so, and the commit comes from the build.
RUN pip install --no-deps --no-build-isolation --editable . \
    && printf '[core]\n    no_scm = true\n' > .dvc/config.local \
    && chmod -R a+rwX .
ARG SKYGEN_COMMIT=unknown
ENV SKYGEN_COMMIT=$SKYGEN_COMMIT \
    SKYGEN_DEVICE=auto \
    BENTOML_DO_NOT_TRACK=True \
    MLFLOW_DISABLE_TELEMETRY=true \
    USER=skygen
USER 1000
# As any user: a home that it can write to, with DVC's index in it, which a mounted clone's own settings place elsewhere.
ENTRYPOINT ["/bin/sh", "-c", "for place in . .dvc .dvc/tmp .dvc/cache; do \
                if test \"$1\" = dvc && test -e $place && ! test -w $place; then \
                    echo \"$PWD/$place is not writable for user $(id -u): say docker run --user $(stat -c %u:%g $place)\" >&2; exit 1; \
                fi; done; \
            test -w \"$HOME\" || export HOME=/tmp; export DVC_SITE_CACHE_DIR=$HOME/.cache/dvc-site; exec \"$@\"", "sh"]
CMD ["dvc", "repro"]
