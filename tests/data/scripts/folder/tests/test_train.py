def test_it():
    for epoch in range(3):
        loss.backward()


if __name__ == '__main__':
    main()
