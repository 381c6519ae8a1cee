"""Seconds a training iteration by recipe and tile set, beside a plain loop and the machine's matrix product.

On the CPU; python -m tools.gpu measures a GPU.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.game import Game, new_game, noise_store
from benchmarks.limits import flop, matmul_flop_per_second, print_machine, seconds, side_by_side
from benchmarks.plain import PlainLoop
from skygen.gan.recipes import Recipe, read_recipes
from skygen.params import Params, TrainingScale, load
from skygen.tiles.store import TileStore

PLAIN = "gan"  # the recipe that the plain loop trains too
SLOW_S = 1.0  # an iteration that takes longer is repeated less often


def main() -> None:
    """Print the tables: every recipe at the chosen scale; the plain loop beside ours at every scale."""
    print_machine()
    params = load(Path("params.yaml"))
    recipes = read_recipes(params.recipes)
    print("tiles    recipe    width  batch  s/iteration  images/s  data share  iteration/matrix product")
    for tiles, tile_set in params.judged.items():
        with TemporaryDirectory() as folder:
            store = noise_store(Path(folder), tile_set)
            for name in params.painters if tiles in params.judged else params.processes:
                recipe = recipes[name]
                print(f"{tiles:8} {name:9} {_row(new_game(recipe, params.chosen.training[tiles], store))}")
    _beside_the_plain_loop(params, recipes[PLAIN])


def _row(game: Game) -> str:
    whole, data = side_by_side(game.iterate, game.draw, runs=9)
    share = flop(game.iterate) / whole / matmul_flop_per_second()
    images = game.scale.batch * game.recipe.critic_steps / whole
    return (
        f"{game.scale.width:5}  {game.scale.batch:5}  {whole:11.3f}  {images:8.0f}  {data / whole:10.3f}  {share:24.2f}"
    )


def _beside_the_plain_loop(params: Params, recipe: Recipe) -> None:
    print(f"\n{PLAIN} beside the plain loop: same networks, batch, dropout and precision; iterations in turn")
    print("tiles    width  batch  plain s/iteration  ours s/iteration  speed ours/plain")
    for tiles, tile_set in params.judged.items():
        with TemporaryDirectory() as folder:
            store = noise_store(Path(folder), tile_set)
            sizes = [scale.training[tiles] for scale in params.scales.values()]
            for scale in {(size.width, size.batch): size for size in sizes}.values():
                print(f"{tiles:8} {_beside(recipe, scale, store)}")


def _beside(recipe: Recipe, scale: TrainingScale, store: TileStore) -> str:
    game, plain = new_game(recipe, scale, store), PlainLoop(new_game(recipe, scale, store), store)
    runs = 3 if seconds(game.iterate, runs=1) > SLOW_S else 25
    theirs, ours = side_by_side(plain.iterate, game.iterate, runs=runs)
    return f"{scale.width:5}  {scale.batch:5}  {theirs:17.3f}  {ours:16.3f}  {theirs / ours:16.2f}"


if __name__ == "__main__":
    main()
