# The main job in a container, run as a user without privileges:
#   docker build -t focalkit .
#   docker run --rm --network none -v "$PWD:/data" --user "$(id -u):$(id -g)" focalkit tune table.csv --target outcome
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python -m venv /opt/focalkit \
    && /opt/focalkit/bin/python -m pip install --no-cache-dir -c constraints.txt ".[tune,plot]"

FROM python:3.12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/focalkit /opt/focalkit
ENV PATH=/opt/focalkit/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib
RUN useradd --create-home reader
USER reader
WORKDIR /data
ENTRYPOINT ["focalkit"]
CMD ["tune"]
