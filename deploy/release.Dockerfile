# A release of bundles as an image, a thin layer on one that serves; FOLDER is what `skygen release` makes.
#
#   docker build --file deploy/release.Dockerfile --build-arg SERVE=skygen:serve --tag skygen:release-7 FOLDER
ARG SERVE=skygen:serve
FROM $SERVE AS release
COPY --chown=1000:1000 . /home/skygen/release
ENV SKYGEN_BUNDLES=/home/skygen/release
