# Two images: `service` (the default) answers requests, and has no compiler and no torch;
# `training` makes bundles. docs/deploy.md
#
#   docker build --tag firstsight .
#   docker build --tag firstsight-training --target training .
#   docker build --target sbom --output . .     what the first holds, as sbom.json

# By digest, so that the same image is built tomorrow. glibc 2.35 or later, for huge pages.
ARG BASE=docker.io/library/python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3
# The level of x86-64 that hnswlib is compiled for; "" on other architectures, for the compiler's own.
ARG CPU_LEVEL=x86-64-v3


FROM ${BASE} AS compiler
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
ARG CPU_LEVEL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY deploy/locks/build.txt deploy/locks/hnswlib.txt deploy/locks/
# What compiles is locked too, so nothing is fetched that no hash was known of. hnswlib is the one
# dependency that is compiled. Left alone it is for the building machine's own processor. setuptools
# takes the flags of C++ from CXXFLAGS, older ones from CFLAGS.
RUN python -m venv /build/tools \
    && tools/bin/pip install --only-binary :all: --require-hashes --requirement deploy/locks/build.txt \
    && HNSWLIB_NO_NATIVE=1 CFLAGS="${CPU_LEVEL:+-march=${CPU_LEVEL}} -g0" \
    CXXFLAGS="${CPU_LEVEL:+-march=${CPU_LEVEL}} -g0" \
    tools/bin/pip wheel --no-deps --no-build-isolation --require-hashes --wheel-dir /hnswlib \
        --requirement deploy/locks/hnswlib.txt


# A layer of its own, since it changes with its lock only: some 320 MB.
FROM compiler AS service-libraries
COPY deploy/locks/service.txt deploy/locks/
# By name, so that it is known as hnswlib of its version and not as a file of this build; there is
# only the one that was compiled.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/firstsight \
    && pip --python /opt/firstsight/bin/python install --only-binary :all: --require-hashes \
        --requirement deploy/locks/service.txt \
    && pip --python /opt/firstsight/bin/python install --no-deps --no-index --find-links /hnswlib hnswlib \
    && pip --python /opt/firstsight/bin/python check
# What nothing here opens: tests, headers, Arrow's Flight, its client of S3 and second copies of its
# library for linkers, onnxruntime's tools for other people's models, the second copy of Redis, and
# what a debugger would read.
# hadolint ignore=DL3003
RUN cd /opt/firstsight/lib/python3.*/site-packages \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && rm -r pyarrow/include pyarrow/*flight* pyarrow/_pyarrow_cpp_tests* pyarrow/libarrow_s3.so.* pyarrow/_s3fs.* \
        pyarrow/libarrow_python.so pyarrow/libarrow_python.so.*.*.* \
        onnxruntime/transformers onnxruntime/tools onnxruntime/quantization \
        /opt/firstsight/bin/redis-server /opt/firstsight/bin/redis-cli \
    && strip --strip-debug uvloop/*.so


FROM compiler AS training-libraries
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
COPY deploy/locks/training.txt deploy/locks/torch.txt deploy/locks/
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/firstsight \
    && pip --python /opt/firstsight/bin/python install --only-binary :all: --require-hashes \
        --requirement deploy/locks/training.txt \
    && pip --python /opt/firstsight/bin/python install --no-deps --only-binary :all: --require-hashes \
        --extra-index-url "${TORCH_CPU_INDEX}" --requirement deploy/locks/torch.txt \
    && pip --python /opt/firstsight/bin/python install --no-deps --no-index --find-links /hnswlib hnswlib \
    && pip --python /opt/firstsight/bin/python check


FROM compiler AS wheel
COPY . .
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .


# What both images share: who runs, and where things are.
FROM ${BASE} AS base
ARG CPU_LEVEL
ENV PATH=/opt/firstsight/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    HNSWLIB_CPU_LEVEL=${CPU_LEVEL}
RUN groupadd --gid 10001 firstsight \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin firstsight \
    && install --directory --owner=10001 --group=10001 /bundles /data /work
LABEL org.opencontainers.image.title="firstsight" \
      org.opencontainers.image.description="Two-tower recall that gives new items and new users a good place from the first second." \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["firstsight"]


FROM base AS training
COPY --from=training-libraries /opt/firstsight /opt/firstsight
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip --python /opt/firstsight/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl
USER 10001:10001
WORKDIR /work
CMD ["--help"]


# The root may be read-only: written are /data (snapshots, the embedded Redis), /bundles (by
# `bundle publish`) and /tmp (metrics, while the service lives).
FROM base AS serving
COPY --from=service-libraries /opt/firstsight /opt/firstsight
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip --python /opt/firstsight/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl
ENV FIRSTSIGHT_HOST=0.0.0.0 \
    FIRSTSIGHT_PORT=8000 \
    FIRSTSIGHT_BUNDLES=/bundles \
    FIRSTSIGHT_DATA_FOLDER=/data
USER 10001:10001
WORKDIR /data
VOLUME ["/bundles", "/data"]
EXPOSE 8000
# Before the first bundle is loaded, connections are refused.
HEALTHCHECK --interval=5s --timeout=4s --start-period=120s --retries=3 \
    CMD ["python", "-I", "-c", "import http.client, os, sys; ready = http.client.HTTPConnection('127.0.0.1', int(os.environ['FIRSTSIGHT_PORT']), timeout=3); ready.request('GET', '/readyz'); sys.exit(ready.getresponse().status != 200)"]
CMD ["serve"]


# Read from what is installed, whatever was locked. The tool is in no image.
FROM compiler AS inventory
COPY deploy/locks/sbom.txt deploy/locks/
RUN python -m venv /build/describing \
    && describing/bin/pip install --only-binary :all: --require-hashes --requirement deploy/locks/sbom.txt
COPY pyproject.toml .
COPY --from=serving /opt/firstsight /opt/firstsight
RUN describing/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
        --output-file /build/sbom.json /opt/firstsight/bin/python


FROM scratch AS sbom
COPY --from=inventory /build/sbom.json /


FROM serving AS service
# Here, since they differ from build to build.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
