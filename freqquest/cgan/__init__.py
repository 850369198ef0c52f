"""The conditional GAN: the only room that trains in PyTorch."""
