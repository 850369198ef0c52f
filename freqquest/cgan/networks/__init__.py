"""Networks of the conditional GAN, by architecture. torch only."""
