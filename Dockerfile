# The images, none run as root. docs/how-to/containers.md says how they are built, run and pinned.
#
#   serve, serve-cuda    answer over HTTP; built after `make repro`, since they hold dist/skygen.bento
#   train, train-cuda    run the pipeline, in a clone that is mounted, or on their own copy
#   mlflow               the team's tracking server on PostgreSQL, and `skygen exporter`
#
# Those with -cuda install requirements-cuda.lock, the others requirements.lock, whose torch has no CUDA.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM $BASE AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --create-home skygen \
    && install --directory --owner=skygen --group=skygen /home/skygen/project
WORKDIR /home/skygen/project

FROM base AS build
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY deploy/install.py pyproject.toml requirements*.lock ./

FROM build AS build-serve
RUN --mount=type=cache,target=/root/.cache/pip python install.py requirements.lock skygen serve

FROM build AS build-mlflow
RUN --mount=type=cache,target=/root/.cache/pip \
    python install.py requirements.lock server astropy click numpy orjson pillow psutil pydantic ruamel-yaml tqdm hatchling
COPY LICENSE README.md ./
COPY src src
RUN python -m pip --python /opt/venv/bin/python install --no-deps --no-build-isolation .

FROM build AS build-train
RUN --mount=type=cache,target=/root/.cache/pip \
    python install.py requirements.lock skygen pipeline serve remotes hatchling editables
COPY LICENSE README.md ./
COPY src src
RUN python -m pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --editable .

# What runs: no pip, no setuptools, no ensurepip. What is installed comes from stages like those above.
FROM base AS runtime
RUN python -c "import shutil, site, sysconfig; \
               [shutil.rmtree(p, ignore_errors=True) for p in (*site.getsitepackages(), sysconfig.get_path('stdlib') + '/ensurepip')]" \
    && rm -f /usr/bin/pip* /usr/local/bin/pip* /usr/local/bin/wheel
ENV PATH=/opt/venv/bin:$PATH
ARG SKYGEN_COMMIT=unknown
ARG SKYGEN_VERSION=unknown
ARG SKYGEN_SOURCE=unknown
LABEL org.opencontainers.image.title="skygen" \
      org.opencontainers.image.description="Synthetic sky tiles from Sloan Digital Sky Survey frames" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision=$SKYGEN_COMMIT \
      org.opencontainers.image.version=$SKYGEN_VERSION \
      org.opencontainers.image.source=$SKYGEN_SOURCE

FROM runtime AS service
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

FROM service AS serve
COPY --from=build-serve /opt/venv /opt/venv

FROM runtime AS mlflow
ENV MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    USER=skygen
RUN install --directory --owner=skygen --group=skygen /srv/artifacts
WORKDIR /srv
USER 1000
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:5000/health', timeout=4)"]
# The password stands in a file, so that no address holds it.
ENTRYPOINT ["/bin/sh", "-c", "test -z \"$PGPASSWORD_FILE\" || PGPASSWORD=$(cat \"$PGPASSWORD_FILE\") || exit 1; \
            export PGPASSWORD HOME=/tmp; exec \"$@\"", "sh"]
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--serve-artifacts", "--artifacts-destination", "/srv/artifacts"]
COPY --from=build-mlflow /opt/venv /opt/venv

# What `train` takes from the project, gathered so that it becomes one layer there.
FROM scratch AS project
COPY .dvc /.dvc
COPY data /data
COPY encoders /encoders
COPY src /src
COPY pipelines /pipelines
COPY serving /serving
COPY .dvcignore LICENSE README.md dvc.* params.yaml pyproject.toml requirements.lock /

FROM runtime AS trainer
# git: DVC and the recorded commit read a mounted clone, which may belong to another user.
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*'
COPY --from=project --chown=1000:1000 / .
# Without a mounted clone there is no git: DVC is told so, and the commit comes from the build.
RUN printf '[core]\n    no_scm = true\n' > .dvc/config.local && chmod -R a+rwX .
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

FROM trainer AS train
COPY --from=build-train /opt/venv /opt/venv

# The same with CUDA's libraries. NVIDIA's runtime adds the driver's to the container.
FROM build AS build-serve-cuda
RUN --mount=type=cache,target=/root/.cache/pip python install.py requirements-cuda.lock skygen serve

FROM service AS serve-cuda
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-serve-cuda /opt/venv /opt/venv

FROM build AS build-train-cuda
RUN --mount=type=cache,target=/root/.cache/pip \
    python install.py requirements-cuda.lock skygen pipeline serve remotes hatchling editables
COPY LICENSE README.md ./
COPY src src
RUN python -m pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --editable .

FROM trainer AS train-cuda
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-train-cuda /opt/venv /opt/venv
