"""Pretrained networks from waveforms to vectors, which others made and freqquest only runs."""
