"""f-AnoGAN's critic step against the same step with autograd's double backward: `python -m bench.critic`.

Both make fakes without a graph and step with fused Adam, on the same rows of 28 x 28 pixels, 64 a batch, one thread,
in turn. The bar: at least 1.2 times as fast.
"""

import statistics
import time
from copy import deepcopy

import torch
from torch import Tensor, nn

from fanogan_mtl.detectors.fanogan import FAnoGAN
from fanogan_mtl.detectors.networks.gradients import flatten_parameters
from fanogan_mtl.detectors.networks.wgan import Critic, fill_critic_gradients
from fanogan_mtl.detectors.threads import one_thread

PENALTY = 10.0
STEPS = 200


def main() -> None:
    with one_thread():
        torch.manual_seed(0)
        networks = FAnoGAN()._build(784)
        by_hand, by_autograd = networks.critic, deepcopy(networks.critic)
        trained = [[flatten_parameters(by_hand)], by_autograd.parameters()]
        optimizers = [torch.optim.Adam(parameters, 1e-4, fused=True) for parameters in trained]
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(STEPS):
            real, latent, mix = torch.randn(64, 784), torch.randn(64, 100), torch.rand(64, 1)
            for critic, gradients, optimizer, seconds in zip(
                (by_hand, by_autograd), (fill_critic_gradients, fill_by_autograd), optimizers, times, strict=True
            ):
                start = time.process_time()
                with torch.no_grad():
                    fake = networks.generator(latent)
                gradients(critic, real, fake, mix, PENALTY)
                optimizer.step()
                seconds.append(time.process_time() - start)
    ours, baseline = (statistics.median(seconds) * 1000 for seconds in times)
    print(f"autograd {baseline:.2f} ms, ours {ours:.2f} ms a step (processor time, medians of {STEPS} steps)")
    print(f"ratio {baseline / ours:.2f}")
    print(f"largest difference of the weights after {STEPS} steps: {difference(by_hand, by_autograd):.1e}")


def fill_by_autograd(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor, penalty: float) -> None:
    mixed = (mix * real + (1 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    loss = critic(fake).mean() - critic(real).mean() + penalty * (gradient.norm(dim=1) - 1).square().mean()
    critic.zero_grad()
    loss.backward()


def difference(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


if __name__ == "__main__":
    main()
