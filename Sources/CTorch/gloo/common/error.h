// See ../../world.cpp: nothing of this header is needed.
#pragma once
