"""Reads what a server counts with the parsers of Prometheus's own Python library.

usage: metrics.py URL
"""

import sys
import urllib.request

from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def scrape(url, accept):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def families(parse, text):
    """The metrics of `text`, by name."""
    return {family.name: family for family in parse(text)}


def main(url):
    media_type, text = scrape(url, OPEN_METRICS)
    assert media_type.startswith("application/openmetrics-text"), media_type
    strict = families(open_parser.text_string_to_metric_families, text)
    media_type, text = scrape(url, "text/plain;version=0.0.4")
    assert media_type.startswith("text/plain; version=0.0.4"), media_type
    plain = families(parser.text_string_to_metric_families, text)

    # The older format knows no type for what is labels only, and calls it by its sample.
    renamed = {name + "_info" if strict[name].type == "info" else name for name in strict}
    assert renamed == set(plain), renamed ^ set(plain)
    assert {family.type for family in plain.values()} == {"counter", "gauge", "histogram"}
    for name, family in plain.items():
        assert family.documentation.endswith("."), name
    requests = plain["keystead_http_requests"]
    assert requests.type == "counter"
    assert {sample.name for sample in requests.samples} == {"keystead_http_requests_total"}
    assert strict["keystead_http_request_duration_seconds"].unit == "seconds"


main(sys.argv[1])
