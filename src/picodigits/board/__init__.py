"""Real boards: how they are wired, and how the application gets onto them.

profiles   the boards that we know: header, chip, what each pin can do
wiring     pins.py -> every wire, with checks, table and checklist
diagram    the same wires -> one drawing, as SVG and as PNG
drives     which drives a computer has that are boards
uf2        CircuitPython for a board: is this file whole, and made for it?
deploy     the application onto a drive, so that it is whole or does not run
connection what a board that reads sees, thinks and measures, over its serial port; what can be asked of it
stand_in   a board that this computer plays, on a serial port of its own

Nothing in here was tried on hardware yet: it is tested against folders that stand for drives, and
against the real CircuitPython in an emulated Pico.
"""
