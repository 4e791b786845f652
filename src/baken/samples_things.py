"""Things people make, for `samples`: houses, mills, boats, bicycles, kites and what stands on a table."""

from __future__ import annotations

import math

from baken.samples_brush import BRIGHT, LEAVES, PETALS, ROOFS, WALLS, Brush, Colour, blend, shade

_GLASS: Colour = (74, 92, 116)
_FRAME: Colour = (244, 240, 230)
_WOOD: Colour = (124, 84, 52)


def window(brush: Brush, x: float, y: float, width: float, height: float) -> None:
    """A sash window from its upper left corner."""
    brush.box(x, y, width, height, _FRAME)
    edge = width * 0.12
    glass = (250, 222, 140) if brush.chance(0.12) else shade(_GLASS, brush.between(0.7, 1.5))
    brush.box(x + edge, y + edge, width - 2 * edge, height - 2 * edge, glass)
    brush.box(x + width / 2 - edge / 2, y, edge, height, _FRAME)
    brush.box(x, y + height * 0.45, width, edge, _FRAME)


def cottage(brush: Brush, x: float, foot: float, width: float) -> None:
    """A small house about `x`."""
    wall, roof = brush.pick(WALLS), brush.pick(ROOFS)
    height, left = width * brush.between(0.42, 0.55), x - width / 2
    brush.box(left + width * 0.68, foot - height * 1.95, width * 0.1, height, shade(wall, 0.7))
    brush.box(left, foot - height, width, height, wall)
    brush.box(left + width * 0.8, foot - height, width * 0.2, height, shade(wall, 0.82))
    eaves, ridge = foot - height * 0.96, foot - height * brush.between(1.6, 1.85)
    brush.polygon(
        (
            (left - width * 0.07, eaves),
            (left + width * 0.16, ridge),
            (left + width * 0.84, ridge),
            (left + width * 1.07, eaves),
        ),
        roof,
    )
    for row in range(1, 6):
        y = eaves + (ridge - eaves) * row / 6
        inset = width * (0.23 * row / 6 - 0.07)
        brush.line(((left + inset, y), (left + width - inset, y)), width * 0.008, shade(roof, 0.75))
    brush.box(left + width * 0.44, foot - height * 0.62, width * 0.14, height * 0.62, brush.pick(BRIGHT))
    for share in (0.1, 0.72):
        window(brush, left + width * share, foot - height * 0.72, width * 0.18, height * 0.4)


def canal_house(brush: Brush, left: float, foot: float, width: float, height: float) -> None:
    """A narrow town house with a gable, from its lower left corner."""
    wall = brush.pick(WALLS)
    top = foot - height
    steps = brush.number(2, 4)
    brush.box(left, top, width, height, wall)
    if brush.chance(0.5):
        for step in range(1, steps + 1):
            inset = width * 0.4 * step / (steps + 1)
            brush.box(left + inset, top - width * 0.15 * step, width - 2 * inset, width * 0.16, wall)
    else:
        peak = (left + width / 2, top - width * brush.between(0.4, 0.8))
        brush.polygon(((left, top), peak, (left + width, top)), brush.pick(ROOFS))
    floors, columns = brush.number(3, 5), brush.number(2, 3)
    cell, pitch = width / columns, height / (floors + 0.6)
    for floor in range(floors):
        for column in range(columns):
            x, y = left + cell * (column + 0.2), top + pitch * (floor + 0.2)
            window(brush, x, y, cell * 0.6, pitch * 0.64)
    brush.box(left + width * 0.38, foot - pitch * 0.85, width * 0.24, pitch * 0.85, brush.pick(BRIGHT))
    brush.box(left + width * 0.97, top, width * 0.05, height, shade(wall, 0.6))


def windmill(brush: Brush, x: float, foot: float, height: float) -> None:
    """A tower mill; its sails reach beyond `height`."""
    wall, hub = brush.pick(WALLS), foot - height * 0.78
    brush.polygon(
        (
            (x - height * 0.2, foot),
            (x + height * 0.2, foot),
            (x + height * 0.1, foot - height * 0.75),
            (x - height * 0.1, foot - height * 0.75),
        ),
        wall,
    )
    brush.polygon(
        (
            (x + height * 0.06, foot),
            (x + height * 0.2, foot),
            (x + height * 0.1, foot - height * 0.75),
            (x + height * 0.04, foot - height * 0.75),
        ),
        shade(wall, 0.75),
    )
    brush.disc(x, hub, height * 0.12, height * 0.1, brush.pick(ROOFS))
    for share in (0.2, 0.45):
        window(brush, x - height * 0.04, foot - height * share, height * 0.08, height * 0.1)
    turn = brush.between(0, math.pi / 2)
    for sail in range(4):
        angle = turn + sail * math.pi / 2
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        tip = (x + along[0] * height * 0.6, hub + along[1] * height * 0.6)
        brush.line(((x, hub), tip), height * 0.018, shade(_WOOD, 0.6))
        wing = [
            (x + along[0] * height * a + across[0] * height * b, hub + along[1] * height * a + across[1] * height * b)
            for a, b in ((0.12, 0.01), (0.6, 0.01), (0.6, 0.1), (0.12, 0.08))
        ]
        brush.polygon(wing, blend((240, 232, 214), wall, 0.2))
        brush.line(wing, height * 0.008, _WOOD)


def lighthouse(brush: Brush, x: float, foot: float, height: float) -> None:
    """A striped lighthouse with its lamp lit."""
    paint, bands = brush.pick(BRIGHT), brush.number(4, 7)
    for band in range(bands):
        low, high = band / bands, (band + 1) / bands
        half_low, half_high = (height * (0.12 - 0.05 * share) for share in (low, high))
        y_low, y_high = foot - height * 0.8 * low, foot - height * 0.8 * high
        colour = paint if band % 2 == 0 else _FRAME
        brush.polygon(
            ((x - half_low, y_low), (x + half_low, y_low), (x + half_high, y_high), (x - half_high, y_high)), colour
        )
        dark = shade(colour, 0.72)
        brush.polygon(
            (
                (x + half_low * 0.3, y_low),
                (x + half_low, y_low),
                (x + half_high, y_high),
                (x + half_high * 0.3, y_high),
            ),
            dark,
        )
    brush.box(x - height * 0.09, foot - height * 0.82, height * 0.18, height * 0.03, (60, 62, 70))
    brush.box(x - height * 0.05, foot - height * 0.92, height * 0.1, height * 0.1, (255, 236, 150))
    brush.polygon(
        ((x - height * 0.07, foot - height * 0.92), (x, foot - height), (x + height * 0.07, foot - height * 0.92)),
        paint,
    )


def sailing_boat(brush: Brush, x: float, waterline: float, height: float) -> None:
    """A sloop under sail, with its reflection."""
    hull, sail = brush.pick(BRIGHT), brush.pick((_FRAME, *BRIGHT))
    lean = height * brush.between(-0.06, 0.06)
    for strip in range(9):
        y = waterline + height * 0.06 * strip
        reach = height * 0.26 * (1 - strip / 12)
        brush.disc(x + brush.between(-0.05, 0.05) * height, y, reach, height * 0.015, blend(hull, sail, strip / 9))
    mast = (x + lean, waterline - height)
    brush.line(((x, waterline), mast), height * 0.015, _WOOD)
    brush.polygon(
        ((x + height * 0.02, waterline - height * 0.15), mast, (x + height * 0.36, waterline - height * 0.14)), sail
    )
    brush.polygon(
        ((x - height * 0.03, waterline - height * 0.12), mast, (x - height * 0.28, waterline - height * 0.1)),
        shade(sail, 0.82),
    )
    deck = waterline - height * 0.08
    brush.polygon(
        (
            (x - height * 0.33, deck),
            (x + height * 0.38, deck),
            (x + height * 0.26, waterline + height * 0.03),
            (x - height * 0.24, waterline + height * 0.03),
        ),
        hull,
    )
    brush.line(((x - height * 0.33, deck), (x + height * 0.38, deck)), height * 0.02, _FRAME)


def bicycle(brush: Brush, x: float, foot: float, reach: float) -> None:
    """A city bicycle seen from the side; `reach` is the distance of its hubs."""
    radius, paint, black = reach * 0.36, brush.pick(BRIGHT), (36, 36, 40)
    back, front, y = x - reach / 2, x + reach / 2, foot - radius
    for hub in (back, front):
        for spoke in range(12):
            angle = spoke * math.pi / 6 + 0.2
            rim = (hub + math.cos(angle) * radius, y + math.sin(angle) * radius)
            brush.line(((hub, y), rim), reach * 0.006, (190, 192, 196))
        brush.ring(hub, y, radius, reach * 0.035, black)
    crank, seat = (x - reach * 0.06, y + reach * 0.02), (x - reach * 0.2, y - reach * 0.5)
    head, grip = (x + reach * 0.34, y - reach * 0.48), (x + reach * 0.26, y - reach * 0.64)
    for tube in ((back, y), seat), (seat, crank), (crank, head), (seat, head), ((back, y), crank), (head, (front, y)):
        brush.line(tube, reach * 0.032, paint)
    brush.line((head, grip, (grip[0] - reach * 0.14, grip[1] + reach * 0.02)), reach * 0.03, black)
    brush.disc(seat[0], seat[1] - reach * 0.04, reach * 0.1, reach * 0.035, black)
    brush.ring(*crank, reach * 0.07, reach * 0.02, (150, 152, 158))
    brush.box(x + reach * 0.36, y - reach * 0.62, reach * 0.24, reach * 0.18, _WOOD)


def kite(brush: Brush, x: float, y: float, reach: float) -> None:
    """A diamond kite with a tail of ribbons."""
    first, second, lean = brush.pick(BRIGHT), brush.pick(BRIGHT), brush.between(-0.5, 0.5)
    top, low = (x + lean * reach, y - reach), (x - lean * reach, y + reach * 1.3)
    left, right = (x - reach * 0.75, y - lean * reach * 0.4), (x + reach * 0.75, y + lean * reach * 0.4)
    for corner, colour in ((left, first), (right, second)):
        brush.polygon((top, corner, low), colour)
        brush.polygon(((x, y), corner, low), shade(colour, 0.78))
    tail = [
        (low[0] + math.sin(step * 0.9 + x) * reach * 0.3 - lean * reach * step * 0.2, low[1] + reach * 0.32 * step)
        for step in range(8)
    ]
    brush.line(tail, reach * 0.05, _FRAME)
    for step, (tail_x, tail_y) in enumerate(tail[1:]):
        brush.disc(tail_x, tail_y, reach * 0.2, reach * 0.09, first if step % 2 else second)


def balloon(brush: Brush, x: float, y: float, reach: float) -> None:
    """A hot-air balloon about the centre of its envelope."""
    colours = brush.pick(BRIGHT), brush.pick(BRIGHT)
    for side in (-1, 1):
        brush.line(
            ((x + side * reach * 0.5, y + reach * 0.8), (x + side * reach * 0.14, y + reach * 1.6)),
            reach * 0.03,
            (70, 60, 50),
        )
    brush.polygon(
        (
            (x - reach * 0.86, y + reach * 0.5),
            (x + reach * 0.86, y + reach * 0.5),
            (x + reach * 0.2, y + reach * 1.25),
            (x - reach * 0.2, y + reach * 1.25),
        ),
        shade(colours[0], 0.8),
    )
    for gore in range(6):
        brush.disc(x, y, reach * (1 - gore / 6), reach, shade(colours[gore % 2], 0.8 + 0.06 * gore))
    brush.box(x - reach * 0.17, y + reach * 1.55, reach * 0.34, reach * 0.26, _WOOD)


def fruit(brush: Brush, x: float, foot: float, reach: float) -> None:
    """An apple, orange or plum lit from the upper left."""
    skin, y = brush.pick(((206, 50, 44), (236, 142, 36), (126, 170, 60), (110, 50, 96), (240, 200, 60))), foot - reach
    brush.disc(x + reach * 0.3, foot - reach * 0.08, reach * 1.1, reach * 0.22, (60, 46, 40))
    for layer in range(8):
        light = layer / 8
        brush.disc(
            x - light * reach * 0.3,
            y - light * reach * 0.3,
            reach * (1 - light * 0.82),
            reach * (1 - light * 0.82),
            shade(skin, 0.6 + 0.75 * light),
        )
    brush.line(((x, y - reach * 0.85), (x + reach * 0.15, y - reach * 1.25)), reach * 0.1, (80, 60, 40))


def bottle(brush: Brush, x: float, foot: float, height: float) -> None:
    """A bottle with a label."""
    glass, half = brush.pick(((40, 84, 60), (96, 60, 36), (60, 100, 130))), height * 0.13
    brush.disc(x, foot, half, half * 0.3, shade(glass, 0.6))
    brush.box(x - half, foot - height * 0.6, half * 2, height * 0.6, glass)
    brush.disc(x, foot - height * 0.6, half, half * 0.9, glass)
    brush.box(x - half * 0.36, foot - height, half * 0.72, height * 0.45, glass)
    brush.box(x - half * 0.42, foot - height, half * 0.84, height * 0.06, (210, 180, 120))
    brush.box(x - half, foot - height * 0.45, half * 2, height * 0.26, (236, 228, 206))
    brush.box(x - half * 0.7, foot - height * 0.36, half * 1.4, height * 0.05, brush.pick(BRIGHT))
    brush.box(x - half * 0.7, foot - height * 0.56, half * 0.3, height * 0.5, shade(glass, 1.6))


def vase(brush: Brush, x: float, foot: float, height: float) -> None:
    """A vase of flowers."""
    glaze = brush.pick(BRIGHT)
    for _ in range(brush.number(9, 15)):
        head_x, head_y = x + brush.between(-0.42, 0.42) * height, foot - height * brush.between(0.62, 1.1)
        brush.line(((x, foot - height * 0.4), (head_x, head_y)), height * 0.014, (66, 108, 54))
        brush.disc(
            (x + head_x) / 2, (foot - height * 0.45 + head_y) / 2, height * 0.07, height * 0.03, brush.pick(LEAVES)
        )
        brush.flower(head_x, head_y, height * brush.between(0.08, 0.13), brush.pick(PETALS))
    brush.disc(x + height * 0.06, foot, height * 0.2, height * 0.035, (60, 46, 40))
    for layer in range(6):
        light = layer / 6
        brush.disc(
            x - light * height * 0.05,
            foot - height * 0.2,
            height * 0.17 * (1 - light * 0.75),
            height * 0.2 * (1 - light * 0.2),
            shade(glaze, 0.65 + 0.6 * light),
        )
    brush.box(x - height * 0.09, foot - height * 0.46, height * 0.18, height * 0.12, shade(glaze, 0.85))
    brush.disc(x, foot - height * 0.46, height * 0.11, height * 0.022, shade(glaze, 1.2))


def books(brush: Brush, left: float, foot: float, width: float) -> None:
    """A pile of books from its lower left corner."""
    y = foot
    for _ in range(brush.number(2, 5)):
        thick, shift = width * brush.between(0.08, 0.15), width * brush.between(-0.08, 0.08)
        cover = brush.pick((*BRIGHT, *ROOFS))
        brush.box(left + shift, y - thick, width, thick, cover)
        brush.box(left + shift + width * 0.8, y - thick * 0.86, width * 0.2, thick * 0.7, (238, 230, 210))
        brush.box(left + shift + width * 0.1, y - thick, width * 0.05, thick, shade(cover, 1.4))
        y -= thick
