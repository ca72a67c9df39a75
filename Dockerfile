# One image a part: docker build --build-arg PART=operator|api|runner|cli .
# The runner's image is also the one that migrates the database: python -P -m relayrun_runner.migrate
ARG PYTHON_IMAGE=python:3.13-slim-trixie
ARG PART=runner

# Mounted at /mnt by what follows, and in no image: uv, and what is locked.
FROM ${PYTHON_IMAGE} AS tools
WORKDIR /src
RUN command -v uv >/dev/null || pip install --no-cache-dir --root-user-action=ignore uv==0.13.9; cp "$(command -v uv)" uv
COPY pyproject.toml uv.lock ./
COPY core/pyproject.toml core/
COPY operator/pyproject.toml operator/
COPY api/pyproject.toml api/
COPY runner/pyproject.toml runner/
COPY cli/pyproject.toml cli/
COPY scripts/install-part install

FROM tools AS sources
ARG PART
COPY core core
COPY ${PART} ${PART}

# Each of the following RUNs is one layer, the same in every image that has it, so that a node pulls it once:
# what all parts need, what the operator and the API need, what one part needs, and what is ours.
FROM ${PYTHON_IMAGE} AS core-dependencies
# A name for the user: libraries ask for it.
RUN echo 'relayrun:x:10001:10001::/tmp:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'relayrun:x:10001:' >>/etc/group \
    && mkdir /app && chown 10001:10001 /app
ENV HOME=/tmp \
    PATH=/opt/relayrun/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY LICENSE /usr/share/licenses/relayrun/
RUN --mount=from=tools,target=/mnt --mount=type=cache,target=/root/.cache/uv \
    sh /mnt/src/install core --no-install-workspace

FROM core-dependencies AS operator-dependencies
RUN --mount=from=tools,target=/mnt --mount=type=cache,target=/root/.cache/uv \
    sh /mnt/src/install operator --no-install-workspace

FROM operator-dependencies AS api-dependencies
RUN --mount=from=tools,target=/mnt --mount=type=cache,target=/root/.cache/uv \
    sh /mnt/src/install api --no-install-workspace

FROM core-dependencies AS runner-dependencies
RUN --mount=from=tools,target=/mnt --mount=type=cache,target=/root/.cache/uv \
    sh /mnt/src/install runner --no-install-workspace

FROM core-dependencies AS cli-dependencies
RUN --mount=from=tools,target=/mnt --mount=type=cache,target=/root/.cache/uv \
    sh /mnt/src/install cli --no-install-workspace

FROM ${PART}-dependencies AS part
ARG PART
RUN --mount=from=sources,target=/mnt,rw --mount=type=cache,target=/root/.cache/uv sh /mnt/src/install "$PART"
USER 10001:10001

# -P: a file of the agent must not shadow what the part itself imports.
FROM part AS operator
LABEL org.opencontainers.image.title="relayrun-operator" \
      org.opencontainers.image.description="Places AgentRuns on warm runner pods."
EXPOSE 8080
CMD ["python", "-P", "-m", "relayrun_operator"]

FROM part AS api
# The command line: kubectl exec deploy/relayrun-api -- relayrun keys create --owner me
COPY --chmod=755 scripts/relayrun /usr/local/bin/relayrun
COPY cli/relayrun_cli /opt/relayrun-cli/relayrun_cli
LABEL org.opencontainers.image.title="relayrun-api" \
      org.opencontainers.image.description="The HTTP API of Relayrun."
ENV RELAYRUN_HOST=0.0.0.0
EXPOSE 8000
CMD ["python", "-P", "-m", "relayrun_api"]

# What asks an API, and makes API keys in its database: docker run --rm relayrun-cli ps --url https://…
FROM part AS cli
COPY --chmod=755 scripts/relayrun /usr/local/bin/relayrun
COPY cli/relayrun_cli /opt/relayrun-cli/relayrun_cli
LABEL org.opencontainers.image.title="relayrun-cli" \
      org.opencontainers.image.description="The command line of Relayrun, for an API that runs elsewhere."
ENTRYPOINT ["relayrun"]
CMD ["--help"]

FROM part AS runner
LABEL org.opencontainers.image.title="relayrun-runner" \
      org.opencontainers.image.description="Executes LangGraph runs: the base of agents' images, and the migrations."
ENV RELAYRUN_HOST=0.0.0.0 \
    RELAYRUN_CONFIG_PATH=/app/langgraph.json
EXPOSE 8123
CMD ["python", "-P", "-m", "relayrun_runner.pod"]

FROM ${PART}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="Relayrun" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
