"""Requests share passes: whoever asks beside one changes when it is answered, never what it is told."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.batching import Batcher, QueueFullError
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile, row


@pytest.fixture(scope="module")
def scene(bundles: Path) -> Bundle:
    return Bundle.load(bundles / "gri128/scene")


@pytest.fixture(scope="module")
def gan(bundles: Path) -> Bundle:
    return Bundle.load(bundles / "r64/gan")


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher(threads=2, most_tiles=256)
    yield made
    made.close()


def as_it_is(flux: NDArray[np.float32]) -> NDArray[np.float32]:
    return flux


def test_answers_are_those_drawn_alone(batcher: Batcher, scene: Bundle, gan: Bundle) -> None:
    asked: list[tuple[Bundle, list[Tile]]] = [
        (bundle, row(seed, n)) for seed in range(12) for bundle, n in ((gan, 1 + seed % 3), (scene, 1 + seed % 5))
    ]
    asked.append((gan, row(99, 30)))

    async def all_at_once() -> list[NDArray[np.float32]]:
        return await asyncio.gather(*(batcher.draw(bundle, tiles, as_it_is) for bundle, tiles in asked))

    for (bundle, tiles), flux in zip(asked, asyncio.run(all_at_once()), strict=True):
        assert flux.tobytes() == bundle.draw_all(tiles).tobytes()


def test_a_small_request_does_not_wait_for_a_large_one(gan: Bundle) -> None:
    batcher, ended = Batcher(threads=1, most_tiles=256), []

    async def ask(name: str, tiles: list[Tile]) -> None:
        await batcher.draw(gan, tiles, as_it_is)
        ended.append(name)

    async def both() -> None:
        await asyncio.gather(ask("large", row(1, 200)), ask("small", row(2, 1)))

    asyncio.run(both())
    batcher.close()
    assert ended == ["small", "large"]


def test_more_than_may_wait_is_refused_and_says_when_to_come_again(scene: Bundle) -> None:
    batcher = Batcher(threads=1, most_tiles=20)

    async def ask() -> list[Any]:
        large = asyncio.ensure_future(batcher.draw(scene, row(1, 60), as_it_is))  # alone: any size
        await asyncio.sleep(0)
        return await asyncio.gather(large, batcher.draw(scene, row(2, 1), as_it_is), return_exceptions=True)

    drawn, refused = asyncio.run(ask())
    assert len(drawn) == 60
    assert isinstance(refused, QueueFullError)
    assert refused.retry_after >= 1
    assert len(asyncio.run(batcher.draw(scene, row(2, 1), as_it_is))) == 1
    batcher.close()


def test_who_leaves_takes_what_is_not_begun_along(scene: Bundle) -> None:
    batcher, drawn = Batcher(threads=1, most_tiles=256), []

    def note(flux: NDArray[np.float32]) -> None:
        drawn.append(len(flux))

    async def leave() -> None:
        leaving = [asyncio.ensure_future(batcher.draw(scene, row(seed, 60), note)) for seed in range(4)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await batcher.draw(scene, row(9, 3), note)

    asyncio.run(leave())
    assert drawn == [3]
    assert batcher.wanted == 0
    batcher.close()


def test_an_error_is_its_requests_alone_and_the_threads_go_on(batcher: Batcher, gan: Bundle) -> None:
    def fail(_: NDArray[np.float32]) -> None:
        raise ZeroDivisionError

    async def ask(tiles: list[Tile], *finishes: Callable[[NDArray[np.float32]], Any]) -> list[Any]:
        return await asyncio.gather(*(batcher.draw(gan, tiles, finish) for finish in finishes), return_exceptions=True)

    failed, drawn = asyncio.run(ask(row(1, 2), fail, as_it_is))
    assert isinstance(failed, ZeroDivisionError)
    assert len(drawn) == 2
    (refused,) = asyncio.run(ask([Tile(1, noise="none")] * 20, as_it_is))
    assert "recipe gan paints its noise; it takes 'survey' alone" in str(refused)
    assert len(asyncio.run(batcher.draw(gan, row(1, 2), as_it_is))) == 2
    assert batcher.wanted == 0


def test_pieces_of_work_are_done_beside_tiles_and_given_in_their_order(batcher: Batcher, gan: Bundle) -> None:
    async def both() -> tuple[list[int], NDArray[np.float32]]:
        pieces = [lambda place=place: place * 10 for place in range(7)]
        beside = asyncio.ensure_future(batcher.draw(gan, row(1, 20), as_it_is))
        found: list[int] = await batcher.run(gan, pieces, 3, list)
        return found, await beside

    found, flux = asyncio.run(both())
    assert found == [0, 10, 20, 30, 40, 50, 60]
    assert flux.tobytes() == gan.draw_all(row(1, 20)).tobytes()
    assert batcher.wanted == 0


def test_a_piece_that_fails_fails_its_request_alone(batcher: Batcher, gan: Bundle) -> None:
    async def fail() -> list[int]:
        return await batcher.run(gan, [lambda: 1 // 0, lambda: 1], 2, list)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail())
    assert asyncio.run(batcher.draw(gan, row(1, 1), as_it_is)).shape == (1, 1, 64, 64)
    assert batcher.wanted == 0


def test_pieces_count_in_the_queue_by_their_weight(gan: Bundle) -> None:
    batcher = Batcher(threads=1, most_tiles=256)

    async def ask() -> None:
        large = asyncio.ensure_future(batcher.run(gan, [lambda: time.sleep(0.1)] * 10, 30, list))
        await asyncio.sleep(0.05)
        assert batcher.wanted == 300
        with pytest.raises(QueueFullError):
            await batcher.draw(gan, row(1, 1), as_it_is)
        large.cancel()

    asyncio.run(ask())
    batcher.close()
    assert batcher.wanted == 0
