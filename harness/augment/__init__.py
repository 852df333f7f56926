"""Augmentation of training images, every sample with its own draws.

A registered factory returns an object with `num_uniforms` and a call that maps images
`[N, C, H, W]` (uint8) and uniform numbers in [0, 1) `[N, num_uniforms]` (float32) to
images of the same shape and type. The call is a pure function, sample by sample: any
chunking gives the same bits. The feed draws the numbers from (seed, epoch).
"""
