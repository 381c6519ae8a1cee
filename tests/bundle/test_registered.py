"""Models in MLflow's registry name the module that loads them, and are there for years: `skygen.bundle` stays that."""

import shutil
import warnings

import numpy as np

from skygen.bundle import Bundle

# As MLflow 3.17 wrote it when `skygen.bundle` was one file, without the copy of the code that lies beside it.
MLMODEL = """\
artifact_path: mlartifacts/models/m-74e33d8223b54242b67ca49886a14a12/artifacts
flavors:
  python_function:
    data: data/scene
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: skygen.bundle
    python_version: 3.11.7
    streamable: false
mlflow_version: 3.17.2
model_id: m-74e33d8223b54242b67ca49886a14a12
model_uuid: m-74e33d8223b54242b67ca49886a14a12
run_id: 94721b280ace4ba383c5b351ca7879f5
utc_time_created: '2026-11-29 09:17:20.144383'
"""


def test_a_model_registered_before_the_modules_moved_draws_its_tiles(tmp_path, write_bundle):
    with warnings.catch_warnings(action="ignore"):  # MLflow 3.17 warns of its own code where it loads this
        import mlflow.pyfunc

    write_bundle(tmp_path / "made")
    shutil.copytree(tmp_path / "made", tmp_path / "model/data/scene")
    (tmp_path / "model/MLmodel").write_text(MLMODEL)
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))

    tiles = model.predict({"seed": [7], "n": [2]})
    assert np.array_equal(tiles, Bundle.load(tmp_path / "made").generate(7, 2))
