"""What Apache Libcloud's own signer makes of parameters: a JSON list of them in, a list of them signed out."""

import json
import sys

from libcloud.common.aws import AWSRequestSignerAlgorithmV2
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

key_id, secret, port = sys.argv[1:]
driver = get_driver(Provider.EC2)(key_id, secret, region="us-east-1", host="127.0.0.1", port=int(port), secure=False)
signer = AWSRequestSignerAlgorithmV2(
    access_key=key_id, access_secret=secret, version="2016-11-15", connection=driver.connection
)
json.dump([signer.get_request_params(params, path="/") for params in json.load(sys.stdin)], sys.stdout)
