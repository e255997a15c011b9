"""Writes safetensors.json: a file made by Python's safetensors package, and what is in it. Or reads a file of ours.

    pip install safetensors==0.8.0 numpy
    python3 safetensors_file.py                    writes safetensors.json beside this script
    python3 safetensors_file.py some.safetensors   prints what Python reads there, one tensor a line

The package orders the metadata at random, so the bytes may differ from run to run; their meaning does not.
(Not safetensors.py, which the scripts beside it would import in place of the package.)
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

TENSORS = {
    "model.weight": np.array([[1.5, -2.0, 0.1], [np.inf, -0.0, 1e-45]], np.float32),
    "exact": np.array([0.1, -1e300, 5e-324], np.float64),
    "ids": np.array([[[2147483647], [-2147483648]]], np.int32),
    "scalar": np.array(3.25, np.float32),
    "empty": np.zeros((0, 4), np.float64),
    'größe "q"': np.array([7], np.int32),
}
METADATA = {"format": "np", "naïve": 'text\nwith "quotes" and 😀'}


def described(array: np.ndarray) -> dict:
    # Texts, because of inf and -0.0; repr gives the shortest decimal that reads back as the same number.
    values = [repr(value) for value in array.ravel().tolist()]
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": values}


def write() -> None:
    golden = {
        "source": f"safetensors {safetensors.__version__}, safetensors_file.py",
        "base64": base64.b64encode(safetensors.numpy.save(TENSORS, METADATA)).decode(),
        "metadata": METADATA,
        "tensors": {name: described(array) for name, array in TENSORS.items()},
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in golden.items()]
    path = Path(__file__).with_name("safetensors.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read(path: str) -> None:
    with safetensors.safe_open(path, "np") as file:
        print(json.dumps(file.metadata(), ensure_ascii=False))
        for name in file.keys():
            print(json.dumps(name, ensure_ascii=False), json.dumps(described(file.get_tensor(name))))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        read(sys.argv[1])
    else:
        write()
