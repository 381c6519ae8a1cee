"""Copyleft licences in what we ship: each known, with the reason why it may be there. A new one fails here."""

import pytest

from tools.licences import copyleft, images, licence

SERVED = {
    "certifi": "MPL-2.0, shipped unchanged: a list of certificates",
    "orjson": "MPL-2.0 in parts, shipped unchanged",
    "pathspec": "MPL-2.0, shipped unchanged",
    "sep": "LGPL-3.0-or-later, a library of its own that anyone may replace",
    "tqdm": "MPL-2.0 in parts, shipped unchanged",
}
# In the image that trains, with DVC; nothing of ours imports them.
TRAINED = {
    "asyncssh": "EPL-2.0 or GPL-2.0-or-later: we take EPL-2.0",
    "dulwich": "Apache-2.0 or GPL-2.0-or-later: we take Apache-2.0",
    "grandalf": "GPL-2.0 or EPL-1.0: we take EPL-1.0",
    "pygit2": "GPL-2.0 with an exception for programs that link it",
    "shtab": "MPL-2.0, shipped unchanged",
}
SILENT = {"huey", "skops"}  # MIT, by the file LICENSE beside their metadata


@pytest.mark.parametrize(("image", "known"), [("serve", SERVED), ("train-cuda", SERVED | TRAINED)])
def test_each_copyleft_part_of_an_image_is_known(image, known):
    assert copyleft(images()[image]).keys() == known.keys()


def test_each_part_names_its_licence():
    parts = images()
    assert 50 < len(parts["serve"]) < len(parts["train-cuda"])
    silent = {name for name in parts["train-cuda"] | parts["serve"] if not licence(name)}
    assert {name for name in silent if not name.startswith(("nvidia-", "cuda-")) and name != "triton"} == SILENT


@pytest.mark.parametrize(
    "said",
    [
        "License-Expression: MIT AND GPL-3.0-only",
        "License: GPLv2",
        "Classifier: License :: OSI Approved :: GNU Affero General Public License v3",
    ],
)
def test_gpl_is_seen_in_every_field_that_may_name_it(monkeypatch, tmp_path, said):
    (tmp_path / "some_part-1.dist-info").mkdir()
    (tmp_path / "some_part-1.dist-info/METADATA").write_text(f"Name: some-part\nVersion: 1\n{said}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(copyleft({"some-part"})) == ["some-part"]
