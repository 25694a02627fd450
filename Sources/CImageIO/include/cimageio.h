#pragma once

#include "png_encode.h"
