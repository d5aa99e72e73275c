# The Airflow image of a site: Airflow, the DAG, its plugin, and no step's requirements.
#
#   make image TARGET=airflow
#
# A file of its own, because Docker's older builder makes every stage above the one it is asked for.
ARG BASE=python:3.11-slim

FROM ${BASE} AS installer
# As in the training image: told which certificates to believe, compiled once, and left behind.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_NO_CACHE=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON=/opt/venv/bin/python \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
ARG PIP_INDEX_URL
COPY requirements/uv.txt /opt/requirements/
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --quiet --require-hashes -r /opt/requirements/uv.txt \
 && python3 -m venv --without-pip /opt/venv
COPY requirements/airflow.txt /opt/requirements/
RUN UV_DEFAULT_INDEX=${PIP_INDEX_URL} \
    /opt/uv/bin/uv pip install --quiet --require-hashes -r /opt/requirements/airflow.txt

# The whole package `tasks`, although only its contract is imported here: its digest is compared
# with that of the training image, so that the DAG and the steps are always of one revision.
FROM installer AS code
COPY dags /opt/wildlife/dags
COPY plugins /opt/wildlife/plugins
COPY tasks /opt/wildlife/tasks
RUN chmod -R u=rwX,go=rX /opt/wildlife \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/wildlife

FROM ${BASE} AS airflow
# What is written: logs, which are kept, and Airflow's home, which is made anew at each start.
RUN mkdir /logs && chown 10001:10001 /logs
USER 10001:10001
WORKDIR /opt/wildlife
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/wildlife:/opt/wildlife/plugins \
    HOME=/tmp \
    # Airflow asks for the name of its user, which here is a number alone.
    LOGNAME=airflow \
    AIRFLOW_HOME=/tmp/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/wildlife/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/wildlife/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/logs \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
VOLUME /logs
ENTRYPOINT ["airflow"]
COPY --from=installer /opt/venv /opt/venv
COPY --from=code /opt/wildlife /opt/wildlife
ARG VERSION=0
ARG REVISION=unknown
ARG CODE=unknown
ENV WILDLIFE_REVISION=${REVISION}
LABEL org.opencontainers.image.title="wildlife-airflow" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      wildlife.code="${CODE}"
