"""The generator, a conditional GAN; the only package that trains in PyTorch."""
