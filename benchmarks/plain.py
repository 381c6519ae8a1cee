"""The plain loop that our training is held against."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from benchmarks.game import Game
from skygen.gan.networks import Discriminator, Generator
from skygen.sky.stretch import Stretch
from skygen.tiles.dataset import TileDataset
from skygen.tiles.store import TileStore


class PlainLoop:
    """The recipe gan in the loop of PyTorch's DCGAN tutorial, with the same networks, batch, dropout and precision.

    A DataLoader, a tensor of labels, binary cross-entropy, a backward pass for each half of the discriminator's loss,
    the same fakes for both networks, losses read at each iteration, and Adam as it comes.
    https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html
    """

    def __init__(self, game: Game, store: TileStore) -> None:
        recipe, players = game.recipe, game.state.players
        if not isinstance(players.generator, Generator) or not isinstance(players.discriminator, Discriminator):
            raise TypeError("the plain loop trains convolutional networks")
        self._generator, self._latent_size = players.generator, players.generator.shape.latent_size
        self._discriminator = _layers(players.discriminator, recipe.dropout_rate)
        betas = (recipe.beta1, recipe.beta2)
        self._optimiser_g = torch.optim.Adam(self._generator.parameters(), lr=recipe.generator_lr, betas=betas)
        self._optimiser_d = torch.optim.Adam(self._discriminator.parameters(), lr=recipe.discriminator_lr, betas=betas)
        self._criterion = nn.BCEWithLogitsLoss()
        self._device = next(players.generator.parameters()).device
        tiles, batch = _Stretched(TileDataset(store.split("train")), store.card.stretch), game.scale.batch
        enough: ConcatDataset[torch.Tensor] = ConcatDataset([tiles] * -(-batch // len(tiles)))
        workers = 2 if self._device.type == "cuda" else 0
        self._batches = _again_and_again(
            DataLoader(enough, batch_size=batch, shuffle=True, drop_last=True, num_workers=workers)
        )

    def iterate(self) -> tuple[float, float]:
        """One iteration; the losses of the discriminator and of the generator."""
        real = next(self._batches).to(self._device)
        self._discriminator.zero_grad()
        label = torch.full((len(real),), 1.0, device=self._device)
        loss_real = self._criterion(self._discriminator(real), label)
        loss_real.backward()
        fake = self._generator(torch.randn(len(real), self._latent_size, device=self._device))
        label.fill_(0.0)
        loss_fake = self._criterion(self._discriminator(fake.detach()), label)
        loss_fake.backward()
        self._optimiser_d.step()
        self._generator.zero_grad()
        label.fill_(1.0)
        loss = self._criterion(self._discriminator(fake), label)
        loss.backward()
        self._optimiser_g.step()
        return (loss_real + loss_fake).item(), loss.item()


def _again_and_again(loader: "DataLoader[torch.Tensor]") -> Iterator[torch.Tensor]:
    while True:
        yield from loader


class _Stretched(Dataset[torch.Tensor]):
    """Tiles one by one, as the discriminator sees them."""

    def __init__(self, tiles: TileDataset, stretch: Stretch) -> None:
        self._tiles, self._stretch = tiles, stretch

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._stretch.stretch(self._tiles[index])


def _layers(discriminator: Discriminator, dropout: float) -> nn.Sequential:
    """The discriminator's layers as the tutorial writes them, with torch's dropout."""
    layers: list[nn.Module] = []
    for convolution, norm in zip(discriminator.convolutions, discriminator.norms, strict=True):
        layers += [convolution, norm, nn.LeakyReLU(0.2, inplace=True), nn.Dropout(dropout)]
    return nn.Sequential(*layers, discriminator.last, nn.Flatten(0), nn.LeakyReLU(discriminator.logit_slope))
