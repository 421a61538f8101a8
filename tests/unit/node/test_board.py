"""The board is one memory for all processes of a node."""

import os

from gslb.node.board import BEATS, PID, Board


def test_rows_are_apart_and_shared_with_a_forked_child():
    board = Board(3, counter_cells=8)
    pid = os.fork()
    if pid == 0:
        board.rows[1].enter()
        board.rows[1].beat()
        board.rows[1].cells[7] += 5
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.rows[1].header[PID] == pid
    assert board.rows[1].header[BEATS] == 1
    assert [list(cells) for cells in board.counters] == [[0] * 8, [0] * 7 + [5], [0] * 8]


def test_a_successor_goes_on_in_the_same_row():
    board = Board(2, counter_cells=4)
    row = board.rows[1]
    row.cells[0] += 3
    row.enter()
    row.cells[0] += 1
    assert row.cells[0] == 4
    assert row.header[PID] == os.getpid()
