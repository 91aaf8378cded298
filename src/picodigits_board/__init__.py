"""What runs on the Pico, and on the PC that trains for it. Copied as it is to CIRCUITPY/lib/picodigits_board/."""
