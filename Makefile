# Aliases for those whose fingers know make; CMakeLists.txt does the work.
PREFIX ?= /usr/local

all:
	cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) -DRUSK_TESTS=OFF
	cmake --build --preset release

test:
	./test

install: all
	cmake --install build/release --prefix $(PREFIX)

format:
	clang-format -i include/*.h $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

.PHONY: all test install format clean
