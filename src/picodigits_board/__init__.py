"""What runs on the Pico, and on the PC that trains for it. The export puts it into CIRCUITPY/lib/, shortened."""
