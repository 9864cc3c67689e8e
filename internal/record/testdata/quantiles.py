"""Makes quantiles.json: percentiles and means of numpy on samples of several shapes, for TestQuantilesAreNumpys.

  python record/testdata/quantiles.py >record/testdata/quantiles.json
"""

import json

import numpy as np

random = np.random.default_rng(7)
samples = {
    "one": [3.25],
    "two": [1.0, 2.0],
    "ties": [5.0] * 7 + [6.0] * 3,
    "log-normal 200": random.lognormal(4, 0.4, 200).round(3).tolist(),
    "heavy tail 501": (20 * (1 + random.pareto(1.5, 501))).round(3).tolist(),
    "two humps 96": np.concatenate([random.normal(50, 2, 48), random.normal(300, 9, 48)]).round(3).tolist(),
}
cases = []
for name, ms in samples.items():
    documents = random.integers(1, 65, len(ms)).tolist()
    speeds = np.array(documents) / (np.array(ms) / 1e3)
    cases.append(
        {
            "name": name,
            "latencies_ms": ms,
            "documents": documents,
            "latency": [float(np.mean(ms))] + np.percentile(ms, [50, 90, 95, 99, 100]).tolist(),
            "speed": np.percentile(speeds, [50, 95, 99]).tolist(),
        }
    )
print(json.dumps({"numpy": np.__version__, "cases": cases}))
